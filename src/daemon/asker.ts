/**
 * The requests of this party's own users: asked of all who take part, begun when all have approved, and tried again
 * where nothing was signed yet.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { fromHex } from '../core/bytes.js';
import { asMpcError, MpcError, type PartyName } from '../core/errors.js';
import type { EventSink, PartyEvent } from '../party/events.js';
import { anyOf, whenAborted } from '../rounds/abort-signal.js';
import { toldOf } from '../rounds/blame.js';
import { printable } from '../rounds/untrusted.js';
import { Condition } from './condition.js';
import { BusyError, type Gate } from './gates.js';
import {
  type LetterBody,
  MAX_ATTEMPTS,
  MAX_REASON,
  type RequestContent,
  type SignContent,
} from './letters.js';
import { type BackUp, type Outcome, perform } from './perform.js';
import type { Stock } from './presignatures.js';
import { factsOfContent, type Request, understand } from './requests.js';
import type { Tools } from './tools.js';

/** Most operations of this party that run at a time; what is approved beyond that waits. */
const MAX_STARTED = 4;

/** Most attempts that a peer's going may cost a request. */
const MAX_LOSSES = 3;

/** First pause after a loss: each party notices the restart of a peer at a time of its own, and ends what it does. */
const LOSS_PAUSE_MILLIS = 500;

/** First and longest pause where somebody else uses the key alone, milliseconds. Two that have met would meet again. */
const BUSY_PAUSE_MILLIS = 200;
const BUSY_PAUSE_MAX_MILLIS = 5_000;

/** Who has asked this daemon. */
export interface Caller {
  readonly emit: EventSink;
  /** Aborted when the caller has gone, or gives up. */
  readonly signal: AbortSignal;
  /** Of a refresh. */
  readonly backUp?: BackUp;
}

/** How a signature is begun: with a presignature made before, beside others on its key, or alone on it. */
type Mode = 'prepared' | 'beside' | 'alone';

class OwnRequest {
  readonly since = new Date();
  /** Aborted with what ends the request. */
  readonly over = new AbortController();
  /** Waiting for approvals, or for its key; having it held by all who take part; with its sessions open. */
  state: 'waiting' | 'holding' | 'running' = 'waiting';
  /** Aborted with what ends the holding, or the running. */
  attempt: AbortController | undefined;
  /** The last attempt, and how often its key was held. */
  number = 0;
  turn = 0;
  /** Peers that know of the request; those of them that have approved; those that are to hold the key. */
  readonly asked = new Set<PartyName>();
  readonly approved = new Set<PartyName>();
  readonly awaited = new Set<PartyName>();
  readonly condition = new Condition();
  isReleased = false;
  isExpired = false;

  constructor(
    readonly request: Request,
    readonly others: readonly PartyName[],
    readonly caller: Caller,
  ) {}

  get id(): Uint8Array {
    return fromHex(this.request.id)!;
  }

  get isApproved(): boolean {
    return this.others.every((peer) => this.approved.has(peer));
  }
}

/** A request of this party, for `requests`. */
export interface OwnRequestState {
  readonly request: Request;
  readonly since: Date;
  /** Who has not approved yet. */
  readonly waitingFor: readonly PartyName[];
  readonly isRunning: boolean;
}

export class Asker {
  readonly #tools: Tools;
  readonly #own = new Map<string, OwnRequest>();
  /** How many operations of this party run. */
  #started = 0;
  readonly #condition = new Condition();
  /** Why nothing more is begun. */
  #stopping: MpcError | undefined;

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  list(): readonly OwnRequestState[] {
    return [...this.#own.values()].map((own) => ({
      request: own.request,
      since: own.since,
      waitingFor: own.others.filter((peer) => !own.approved.has(peer)),
      isRunning: own.state === 'running',
    }));
  }

  /**
   * Asks for `content` and sees it through. Throws what ends it: a rejection, a peer that has left, an error of the
   * operation, the time-out of requests, or the caller's end.
   */
  async ask(content: RequestContent, caller: Caller): Promise<Outcome> {
    const { self, record, gates, settings, presignatures, signal } = this.#tools;
    if (this.#stopping) throw this.#stopping;
    const request = understand(this.#tools, self, content);
    const { id } = request;
    const own = new OwnRequest(
      request,
      request.parties.filter((name) => name !== self),
      caller,
    );
    if (content.operation === 'sign' && settings.presignatures > 0) presignatures.want(stockOf(content));
    const facts = factsOfContent(content);
    record({ event: 'requested', id, from: self, ...facts });
    record({ event: 'decided', id, decision: 'approved', by: 'asker' });
    this.#own.set(id, own);
    const stopListening = [caller.signal, signal].map((each) =>
      whenAborted(each, (reason) => own.over.abort(reason)),
    );
    const expiry = setTimeout(() => this.#expire(own), settings.requestTimeoutMillis);
    try {
      this.#tell(own, { event: 'request', party: self, id, from: self, ...facts });
      for (const peer of own.others) this.#announce(own, peer);
      const outcome = await this.#attempts(own);
      this.#ended(own);
      return outcome;
    } catch (cause) {
      const error = asMpcError(cause);
      this.#ended(own, error);
      record({ event: 'failed', id, code: error.code, reason: printable(error.message, MAX_REASON) });
      throw error;
    } finally {
      clearTimeout(expiry);
      for (const stop of stopListening) stop();
      this.#own.delete(id);
      gates.release(id);
      this.#condition.changed();
    }
  }

  /** Begins nothing more: what has not begun ends with `reason`. */
  withdraw(reason: MpcError): void {
    this.#stopping = reason;
    for (const own of this.#own.values()) if (own.state !== 'running') own.over.abort(reason);
  }

  /** Resolves when no request is left; rejects with the signal's reason. */
  settled(signal: AbortSignal): Promise<void> {
    return this.#condition.until(() => this.#own.size === 0, signal);
  }

  /** `peer` is there, and may not know of what was asked meanwhile. */
  linkUp(peer: PartyName): void {
    for (const own of this.#own.values())
      if (own.others.includes(peer) && !own.asked.has(peer)) this.#announce(own, peer);
  }

  /** `peer` has forgotten all that it was told. */
  lost(peer: PartyName, error: MpcError): void {
    for (const own of this.#own.values()) {
      for (const peers of [own.asked, own.approved, own.awaited]) peers.delete(peer);
      if (own.others.includes(peer)) own.attempt?.abort(error);
      own.condition.changed();
    }
  }

  answer(from: PartyName, id: string, { approved, reason }: LetterBody<'answer'>): void {
    const own = this.#own.get(id);
    if (!own?.asked.has(from) || (approved && own.approved.has(from))) return;
    if (approved) own.approved.add(from);
    else own.over.abort(rejected(from, reason));
    own.condition.changed();
    const decision = approved ? 'approved' : 'rejected';
    const { self: party } = this.#tools;
    this.#tell(own, { event: 'decision', party, id, peer: from, decision, ...because(reason) });
  }

  held(from: PartyName, id: string, { turn, answer }: LetterBody<'held'>): void {
    const own = this.#own.get(id);
    if (own?.state !== 'holding' || own.turn !== turn || !own.awaited.delete(from)) return;
    if (answer === 'busy') own.attempt?.abort(new BusyError(`at ${from}, another operation comes first`));
    if (answer === 'unknown') own.attempt?.abort(unknown(from));
    own.condition.changed();
  }

  failed(from: PartyName, id: string, { attempt, code, reason }: LetterBody<'failed'>): void {
    const own = this.#own.get(id);
    if (own?.state === 'running' && own.asked.has(from) && attempt === own.number)
      own.attempt?.abort(failure(from, code, reason));
  }

  #tell(own: OwnRequest, event: PartyEvent): void {
    own.caller.emit(event);
    this.#tools.emit(event);
  }

  #announce(own: OwnRequest, peer: PartyName): void {
    if (!this.#tools.isUp(peer)) return;
    own.asked.add(peer);
    this.#tools.post(peer, 'request', { content: own.request.content });
  }

  /** Ends what has waited for too long; what runs has a time-out of its own, and may end. */
  #expire(own: OwnRequest): void {
    own.isExpired = true;
    if (own.state !== 'running') own.over.abort(expired(own));
  }

  /** Tells everybody of the end. */
  #ended({ asked, id, request }: OwnRequest, error?: MpcError): void {
    const { emit, post, self: party } = this.#tools;
    const reason = error ? toldOf(error, MAX_REASON) : '';
    for (const peer of asked)
      post(peer, 'end', { id, done: error === undefined, code: error?.code ?? '', reason });
    const { from, content } = request;
    const why = error && { code: error.code, reason: printable(error.message, MAX_REASON) };
    const { operation } = content;
    emit({
      event: 'request-ended',
      party,
      id: request.id,
      from,
      operation,
      done: error === undefined,
      ...why,
    });
  }

  /** Tries until it is done, or something else stands in the way than what others do just now. */
  async #attempts(own: OwnRequest): Promise<Outcome> {
    const { over, request } = own;
    await own.condition.until(() => own.isApproved, over.signal);
    let mode = this.#firstMode(request.content);
    let losses = 0;
    for (let pauses = 0; ; ) {
      try {
        return await this.#attempt(own, mode);
      } catch (error) {
        // Whoever has given out its share of a signature takes part in no other attempt.
        if (own.isReleased || over.signal.aborted || own.number === MAX_ATTEMPTS) throw error;
        if (own.isExpired) throw expired(own);
        if (this.#stopping) throw this.#stopping;
        if (isLoss(error)) losses += 1;
        const next = losses > MAX_LOSSES ? undefined : nextMode(mode, error, request);
        if (next === undefined) throw error;
        mode = next;
        const firstMillis =
          error instanceof BusyError ? BUSY_PAUSE_MILLIS : isLoss(error) ? LOSS_PAUSE_MILLIS : 0;
        if (firstMillis > 0) await pauseFor(firstMillis * 2 ** pauses++, over.signal);
      }
    }
  }

  #firstMode(content: RequestContent): Mode {
    if (content.operation !== 'sign') return 'alone';
    return this.#tools.presignatures.level(stockOf(content)) > 0 ? 'prepared' : 'beside';
  }

  /** Begins the request as soon as all have approved it, and its key is free for it. */
  async #attempt(own: OwnRequest, mode: Mode): Promise<Outcome> {
    const { signal } = own.over;
    const gate = this.#tools.gates.of(own.request.key);
    try {
      for (;;) {
        await own.condition.until(() => own.isApproved, signal);
        if (mode === 'alone') await gate.free(signal);
        // Somebody may have been lost meanwhile, and could not hold the key for what it has not approved.
        if (!own.isApproved) continue;
        using _gate = mode === 'alone' ? await this.#alone(own, gate) : await gate.start(signal);
        using _slot = await this.#slot(signal);
        // Here, too, somebody may have been lost.
        if (own.isApproved) return await this.#begin(own, mode);
        this.#letGo(own);
      }
    } finally {
      this.#letGo(own);
    }
  }

  async #slot(signal: AbortSignal): Promise<Disposable> {
    await this.#condition.until(() => {
      if (this.#started === MAX_STARTED) return false;
      this.#started += 1;
      return true;
    }, signal);
    return {
      [Symbol.dispose]: () => {
        this.#started -= 1;
        this.#condition.changed();
      },
    };
  }

  /** Has all who take part hold the key, and waits until nothing runs on it here. */
  async #alone(own: OwnRequest, gate: Gate): Promise<Disposable> {
    const { id } = own.request;
    own.turn += 1;
    return await this.#during(own, 'holding', async (signal) => {
      await gate.hold(id, signal);
      for (const peer of own.others) {
        own.awaited.add(peer);
        this.#tools.post(peer, 'hold', { id: own.id, turn: own.turn, on: true });
      }
      await own.condition.until(() => own.awaited.size === 0, signal);
      return await gate.alone(id, signal);
    });
  }

  /** Nobody need hold the key for it any longer. */
  #letGo(own: OwnRequest): void {
    const { gates, post } = this.#tools;
    gates.release(own.request.id);
    own.awaited.clear();
    if (own.turn === 0) return;
    for (const peer of own.asked) post(peer, 'hold', { id: own.id, turn: own.turn, on: false });
  }

  /** Opens the sessions of the next attempt, at all who take part. */
  #begin(own: OwnRequest, mode: Mode): Promise<Outcome> {
    const { post, presignatures } = this.#tools;
    const { content } = own.request;
    own.number += 1;
    const presignature =
      mode === 'prepared' && content.operation === 'sign' ? presignatures.take(stockOf(content)) : undefined;
    const attempt = { number: own.number, alone: mode === 'alone', ...(presignature && { presignature }) };
    const named = presignature?.binding.sid ?? null;
    for (const peer of own.others)
      post(peer, 'begin', {
        ...{ id: own.id, attempt: own.number, alone: attempt.alone, presignature: named },
      });
    const released = (): void => {
      own.isReleased = true;
    };
    const { emit, backUp } = own.caller;
    return this.#during(own, 'running', (signal) =>
      perform(this.#tools, own.request, attempt, { signal, emit, released, ...(backUp && { backUp }) }),
    );
  }

  /** Runs what the loss or failure of a participant ends, and the end of the request as well. */
  async #during<T>(
    own: OwnRequest,
    state: OwnRequest['state'],
    act: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    own.attempt = new AbortController();
    own.state = state;
    using ending = anyOf(own.over.signal, own.attempt.signal);
    try {
      return await act(ending.signal);
    } finally {
      own.attempt = undefined;
      own.state = 'waiting';
    }
  }
}

const stockOf = ({ key, quorum }: SignContent): Stock => ({ keyId: key, quorum });

const isLoss = (error: unknown): boolean => error instanceof MpcError && error.code === 'PEER_LEFT';

/** How to go on after an attempt that failed before anything was signed; undefined: not at all. */
function nextMode(mode: Mode, error: unknown, { content }: Request): Mode | undefined {
  if (!(error instanceof MpcError)) return undefined;
  // Whoever was faster may have made what this one needed the key alone for.
  if (error instanceof BusyError) return content.operation === 'sign' ? 'beside' : mode;
  if (error.code === 'NOT_ALONE') return mode === 'alone' ? undefined : 'alone';
  // A presignature that somebody has no longer is no reason to refuse the signature.
  if (mode === 'prepared') return 'beside';
  return isLoss(error) ? mode : undefined;
}

/** A pause of about so long; throws the signal's reason. */
async function pauseFor(millis: number, signal: AbortSignal): Promise<void> {
  const longest = Math.min(millis, BUSY_PAUSE_MAX_MILLIS);
  await pause(randomInt(longest / 2, longest + 1), undefined, { signal }).catch(() => {});
  signal.throwIfAborted();
}

const because = (reason: string): { readonly reason?: string } =>
  reason === '' ? {} : { reason: printable(reason, MAX_REASON) };

function rejected(peer: PartyName, reason: string): MpcError {
  const said = because(reason).reason ?? 'it gives no reason';
  return new MpcError('PEER_ABORTED', `${peer} does not take part: ${said}`, {
    culprits: [peer],
    hint: `ask those who run ${peer}`,
  });
}

const unknown = (peer: PartyName): MpcError =>
  new MpcError('PEER_ABORTED', `${peer} does not take part in it, or no longer`, {
    culprits: [peer],
    hint: `see the audit log of ${peer}`,
  });

function failure(peer: PartyName, code: string, reason: string): MpcError {
  const what = `${peer} could not take part: ${printable(reason, MAX_REASON)}`;
  if (code === 'BUSY') return new BusyError(what);
  const isKnown = code === 'NOT_ALONE' || code === 'PEER_LEFT';
  return new MpcError(isKnown ? code : 'PEER_ABORTED', what, { culprits: [peer] });
}

function expired(own: OwnRequest): MpcError {
  const missing = own.others.filter((peer) => !own.approved.has(peer));
  const what = missing.length === 0 ? 'it could not be begun' : `${missing.join(', ')} did not approve it`;
  return new MpcError('TIMEOUT', `the request ${own.request.id} has waited long enough: ${what}`, {
    culprits: missing,
    hint: 'have it approved there, and ask again; requestTimeout in the settings says how long a request may wait',
  });
}
