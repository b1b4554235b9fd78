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
import { printable } from '../rounds/untrusted.js';
import { Condition } from './condition.js';
import { BusyError, type Gate } from './gates.js';
import {
  type LetterBody,
  MAX_ATTEMPTS,
  MAX_REASON,
  MAX_TURNS,
  type RequestContent,
  type SignContent,
} from './letters.js';
import { type BackUp, type Outcome, perform } from './perform.js';
import type { Stock } from './presignatures.js';
import { factsOfContent, type Request, understand } from './requests.js';
import type { Tools } from './tools.js';

/** Most operations of this party that run at a time; what is approved beyond that waits. */
const MAX_STARTED = 4;

/** How long at first to wait for a key that somebody else uses alone, milliseconds. */
const BUSY_PAUSE_MILLIS = 200;

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
  /** The last attempt, whether its sessions are open, and what is aborted with what ends it, or the wait for its key. */
  number = 0;
  hasBegun = false;
  attempt: AbortController | undefined;
  /** Peers that know of the request; those of them that have approved; those that are to hold the key. */
  readonly asked = new Set<PartyName>();
  readonly approved = new Set<PartyName>();
  readonly awaited = new Set<PartyName>();
  readonly condition = new Condition();
  /** How often it has had its key held. */
  turn = 0;
  isReleased = false;

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
  /** How many operations of this party run, or wait for their key. */
  #started = 0;
  readonly #starting = new Condition();

  constructor(tools: Tools) {
    this.#tools = tools;
  }

  list(): readonly OwnRequestState[] {
    return [...this.#own.values()].map((own) => ({
      request: own.request,
      since: own.since,
      waitingFor: own.others.filter((peer) => !own.approved.has(peer)),
      isRunning: own.attempt !== undefined,
    }));
  }

  /**
   * Asks for `content` and sees it through. Throws what ends it: a rejection, a peer that has left, an error of the
   * operation, the time-out of requests, or the caller's end.
   */
  async ask(content: RequestContent, caller: Caller): Promise<Outcome> {
    const tools = this.#tools;
    const { self, record, settings } = tools;
    const request = understand(tools, self, content);
    const { id } = request;
    const facts = factsOfContent(content);
    const own = new OwnRequest(
      request,
      request.parties.filter((name) => name !== self),
      caller,
    );
    record({ event: 'requested', id, from: self, ...facts });
    record({ event: 'decided', id, decision: 'approved', by: 'asker' });
    this.#tell(own, { event: 'request', party: self, id, from: self, ...facts });
    this.#own.set(id, own);
    const stopListening = [caller.signal, tools.signal].map((signal) =>
      whenAborted(signal, (reason) => own.over.abort(reason)),
    );
    const expiry = setTimeout(() => own.over.abort(expired(own)), settings.requestTimeoutMillis);
    try {
      for (const peer of own.others) this.#announce(own, peer);
      const outcome = await this.#attempts(own);
      this.#end(own);
      this.#ended(request);
      return outcome;
    } catch (cause) {
      const error = asMpcError(cause);
      this.#end(own, error);
      record({ event: 'failed', id, code: error.code, reason: reasonOf(error) });
      this.#ended(request, error);
      throw error;
    } finally {
      clearTimeout(expiry);
      for (const stop of stopListening) stop();
      this.#own.delete(id);
      tools.gates.release(id);
    }
  }

  /** Ends with `reason` what has not begun yet. */
  withdraw(reason: MpcError): void {
    for (const own of this.#own.values()) if (own.attempt === undefined) own.over.abort(reason);
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
    if (own === undefined || !own.others.includes(from)) return;
    if (approved) own.approved.add(from);
    else own.over.abort(rejected(from, reason));
    own.condition.changed();
    const decision = approved ? 'approved' : 'rejected';
    const { self: party } = this.#tools;
    this.#tell(own, { event: 'decision', party, id, peer: from, decision, ...because(reason) });
  }

  held(from: PartyName, id: string, { turn, busy }: LetterBody<'held'>): void {
    const own = this.#own.get(id);
    if (own?.turn !== turn || !own.awaited.delete(from)) return;
    if (busy) own.attempt?.abort(new BusyError(`at ${from}, another operation that runs alone comes first`));
    own.condition.changed();
  }

  failed(from: PartyName, id: string, { attempt, code, reason }: LetterBody<'failed'>): void {
    const own = this.#own.get(id);
    if (own?.hasBegun && own.asked.has(from) && attempt === own.number)
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

  #end({ asked, id }: OwnRequest, error?: MpcError): void {
    const end = {
      id,
      done: error === undefined,
      code: error?.code ?? '',
      reason: error ? reasonOf(error) : '',
    };
    for (const peer of asked) this.#tools.post(peer, 'end', end);
  }

  #ended({ id, from, content: { operation } }: Request, error?: MpcError): void {
    const { emit, self: party } = this.#tools;
    const why = error && { code: error.code, reason: reasonOf(error) };
    emit({ event: 'request-ended', party, id, from, operation, done: error === undefined, ...why });
  }

  async #attempts(own: OwnRequest): Promise<Outcome> {
    let mode = this.#firstMode(own.request.content);
    for (;;) {
      try {
        return await this.#attempt(own, mode);
      } catch (error) {
        const next = nextMode(mode, error);
        // Whoever has given out its share of a signature takes part in no other attempt.
        const isLast = own.isReleased || own.over.signal.aborted || own.number === MAX_ATTEMPTS;
        if (isLast || next === undefined) throw error;
        mode = next;
      }
    }
  }

  #firstMode(content: RequestContent): Mode {
    if (content.operation !== 'sign') return 'alone';
    const { presignatures, settings } = this.#tools;
    const stock = stockOf(content);
    if (settings.presignatures > 0) presignatures.want(stock);
    return presignatures.level(stock) > 0 ? 'prepared' : 'beside';
  }

  /** Begins the request as soon as all have approved it, and its key is free for it. */
  async #attempt(own: OwnRequest, mode: Mode): Promise<Outcome> {
    const { signal } = own.over;
    for (;;) {
      await own.condition.until(() => own.isApproved, signal);
      using _slot = await this.#slot(signal);
      const gate = this.#tools.gates.of(own.request.key);
      using _gate = mode === 'alone' ? await this.#alone(own, gate) : await gate.start(signal);
      // Somebody may have been lost meanwhile, and have to approve once more.
      if (own.isApproved) return await this.#begin(own, mode);
    }
  }

  async #slot(signal: AbortSignal): Promise<Disposable> {
    await this.#starting.until(() => this.#started < MAX_STARTED, signal);
    this.#started += 1;
    return {
      [Symbol.dispose]: () => {
        this.#started -= 1;
        this.#starting.changed();
      },
    };
  }

  /** Has all parties of the key hold it, and waits until nothing runs on it here. */
  async #alone(own: OwnRequest, gate: Gate): Promise<Disposable> {
    for (;;) {
      own.turn += 1;
      try {
        return await this.#during(own, (signal) => this.#hold(own, gate, signal));
      } catch (error) {
        this.#letGo(own);
        if (!(error instanceof BusyError) || own.turn === MAX_TURNS) throw error;
      }
      // Two that have met would meet again.
      const longest = BUSY_PAUSE_MILLIS * 2 ** Math.min(own.turn, 5);
      const { signal } = own.over;
      await pause(randomInt(BUSY_PAUSE_MILLIS, longest), undefined, { signal }).catch(() => {});
      signal.throwIfAborted();
    }
  }

  async #hold(own: OwnRequest, gate: Gate, signal: AbortSignal): Promise<Disposable> {
    const { post } = this.#tools;
    const { id } = own.request;
    await gate.hold(id, signal);
    for (const peer of own.others) {
      own.awaited.add(peer);
      post(peer, 'hold', { id: own.id, turn: own.turn, on: true });
    }
    await own.condition.until(() => own.awaited.size === 0, signal);
    return await gate.alone(id, signal);
  }

  #letGo(own: OwnRequest): void {
    const { gates, post } = this.#tools;
    gates.release(own.request.id);
    own.awaited.clear();
    for (const peer of own.others) post(peer, 'hold', { id: own.id, turn: own.turn, on: false });
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
        ...{ id: own.id, attempt: own.number },
        ...{ alone: attempt.alone, presignature: named },
      });
    const released = () => {
      own.isReleased = true;
    };
    return this.#during(own, async (signal) => {
      own.hasBegun = true;
      try {
        const { emit, backUp } = own.caller;
        const performing = { signal, emit, released, ...(backUp && { backUp }) };
        return await perform(this.#tools, own.request, attempt, performing);
      } finally {
        own.hasBegun = false;
      }
    });
  }

  /** Runs what the loss or failure of a participant ends, and the end of the request as well. */
  async #during<T>(own: OwnRequest, act: (signal: AbortSignal) => Promise<T>): Promise<T> {
    own.attempt = new AbortController();
    using ending = anyOf(own.over.signal, own.attempt.signal);
    try {
      return await act(ending.signal);
    } finally {
      own.attempt = undefined;
    }
  }
}

const stockOf = ({ key, quorum }: SignContent): Stock => ({ keyId: key, quorum });

/** How to go on after an attempt that failed before anything was signed; undefined: not at all. */
function nextMode(mode: Mode, error: unknown): Mode | undefined {
  if (!(error instanceof MpcError)) return undefined;
  if (error.code === 'NOT_ALONE') return mode === 'alone' ? undefined : 'alone';
  // A presignature that somebody has no longer is no reason to refuse the signature.
  if (mode === 'prepared') return 'beside';
  return error instanceof BusyError || error.code === 'PEER_LEFT' ? mode : undefined;
}

const reasonOf = (error: MpcError): string => printable(error.message, MAX_REASON);

const because = (reason: string): { readonly reason?: string } =>
  reason === '' ? {} : { reason: printable(reason, MAX_REASON) };

function rejected(peer: PartyName, reason: string): MpcError {
  const said = because(reason).reason ?? 'it gives no reason';
  return new MpcError('PEER_ABORTED', `${peer} does not take part: ${said}`, {
    culprits: [peer],
    hint: `ask those who run ${peer}`,
  });
}

function failure(peer: PartyName, code: string, reason: string): MpcError {
  const what = `${peer} could not take part: ${printable(reason, MAX_REASON)}`;
  if (code === 'BUSY') return new BusyError(what);
  return new MpcError(code === 'NOT_ALONE' ? code : 'PEER_ABORTED', what, { culprits: [peer] });
}

function expired(own: OwnRequest): MpcError {
  const missing = own.others.filter((peer) => !own.approved.has(peer));
  const what = missing.length === 0 ? 'it could not be begun' : `${missing.join(', ')} did not approve it`;
  return new MpcError('TIMEOUT', `the request ${own.request.id} has waited long enough: ${what}`, {
    culprits: missing,
    hint: 'have it approved there, and ask again; requestTimeout in the settings says how long a request may wait',
  });
}
