/**
 * The requests of the other parties: decided on by this party's own rule, and taken part in when their asker begins
 * them. Nothing is begun that was not approved here, under the name of its whole content.
 */
import { equalBytes, fromHex } from '../core/bytes.js';
import { asMpcError, type ErrorCode, MpcError, type PartyName } from '../core/errors.js';
import { anyOf } from '../rounds/abort-signal.js';
import { toldOf } from '../rounds/blame.js';
import { printable } from '../rounds/untrusted.js';
import type { Approval, ApprovalRequest, Decision } from './approval-request.js';
import { Condition } from './condition.js';
import { BusyError } from './gates.js';
import { type LetterBody, MAX_REASON, type RequestContent, requestId } from './letters.js';
import { type Attempt, perform } from './perform.js';
import { RateLimit } from './rate-limit.js';
import { factsOfContent, type Request, understand } from './requests.js';
import type { Tools } from './tools.js';

/** Bounds on what one peer has waiting here. */
const MAX_WAITING = 128;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** How long a peer may have a key held at a time, milliseconds. What runs alone on it goes on. */
const MAX_HOLD_MILLIS = 180_000;

class PeerRequest {
  readonly since = new Date();
  /** Aborted with what ends the request. */
  readonly over = new AbortController();
  readonly condition = new Condition();
  /** The attempt that was begun last, and what it is aborted with as long as it runs. */
  number = 0;
  attempt: AbortController | undefined;
  isApproved = false;
  isReleased = false;
  /** Its asker has ended it as done, while it still runs here. */
  isDone = false;
  /** Its time is over: what runs may end, and no other attempt begins. */
  isExpired = false;
  /** It is on no list any more; while it ends, whether its asker has asked for it again. */
  isGone = false;
  isAskedAgain = false;
  holding: NodeJS.Timeout | undefined;
  expiry: NodeJS.Timeout | undefined;

  constructor(readonly request: Request) {}

  get id(): Uint8Array {
    return fromHex(this.request.id)!;
  }

  get isRunning(): boolean {
    return this.attempt !== undefined;
  }

  get bytes(): number {
    const { content } = this.request;
    return content.operation === 'sign' ? content.message.length : 0;
  }
}

/** A request of a peer, for `requests`. */
export interface PeerRequestState {
  readonly request: Request;
  readonly since: Date;
  readonly isApproved: boolean;
  readonly isRunning: boolean;
}

/** Told why something that a peer asked for, and that this party took part in, has failed here. */
export type FailureListener = (asker: PartyName, error: MpcError) => void;

export class Answerer implements Disposable {
  readonly #tools: Tools;
  readonly #approval: Approval;
  readonly #failed: FailureListener;
  readonly #requests = new Map<string, PeerRequest>();
  readonly #limit = new RateLimit();
  readonly #condition = new Condition();
  #isStopping = false;

  constructor(tools: Tools, approval: Approval, failed: FailureListener) {
    this.#tools = tools;
    this.#approval = approval;
    this.#failed = failed;
  }

  list(): readonly PeerRequestState[] {
    return [...this.#requests.values()];
  }

  /** `from` asks for something, or asks again after it has lost sight of this party. */
  async request(from: PartyName, content: RequestContent): Promise<void> {
    const { record, emit, post, self } = this.#tools;
    // Its asker will ask again when this party is back.
    if (this.#isStopping) return;
    const id = requestId(from, content);
    const known = this.#requests.get(id);
    if (known?.isApproved && !known.over.signal.aborted)
      return post(from, 'answer', { id: known.id, approved: true, reason: '' });
    if (known !== undefined && !known.over.signal.aborted) return;
    if (known !== undefined && !(await this.#hasEnded(known))) return;
    const refuse = (reason: string): void =>
      post(from, 'answer', { id: fromHex(id)!, approved: false, reason });
    // Neither leaves a trace in the log: a peer could fill it.
    if (this.#tools.audit.begunIds().has(id)) return refuse('its signing has begun here before');
    if (!this.#limit.allows(from)) return refuse('too many requests at a time');
    const facts = factsOfContent(content);
    record({ event: 'requested', id, from, ...facts });
    emit({ event: 'request', party: self, id, from, ...facts });
    let entry: PeerRequest | undefined;
    let decision: Decision;
    try {
      entry = new PeerRequest(this.#accept(from, content));
      this.#requests.set(id, entry);
      decision = await this.#approval(approvalRequest(entry.request), entry.over.signal);
    } catch (cause) {
      decision = {
        decision: 'rejected',
        by: 'rule',
        reason: toldOf(asMpcError(cause), MAX_REASON),
      };
    }
    // Its asker has given it up meanwhile, or is lost.
    if (!entry?.isGone) this.#decide(from, id, entry, decision);
  }

  /**
   * Waits for what is left of `known`, which is ending and has been asked for again. Returns whether the asker then
   * still wants it: it may give it up meanwhile.
   */
  async #hasEnded(known: PeerRequest): Promise<boolean> {
    known.isAskedAgain = true;
    await known.condition.until(() => known.isGone, this.#tools.signal);
    return known.isAskedAgain && !this.#isStopping && !this.#requests.has(known.request.id);
  }

  /** The asker of `id` begins it: takes part, or says why not. */
  async begin(from: PartyName, id: string, letter: LetterBody<'begin'>): Promise<void> {
    const entry = this.#requests.get(id);
    const { post } = this.#tools;
    try {
      if (entry === undefined || entry.request.from !== from || !entry.isApproved)
        throw new MpcError('DISAGREEMENT', 'the request is not approved here');
      await this.#takePart(entry, letter);
    } catch (cause) {
      const error = asMpcError(cause);
      const code = error instanceof BusyError ? 'BUSY' : error.code;
      const reason = toldOf(error, MAX_REASON);
      post(from, 'failed', { id: letter.id, attempt: letter.attempt, code, reason });
      this.#failed(from, error);
    }
  }

  /** The asker of `id` needs a key alone: says when what this party has started on it is over. */
  async hold(from: PartyName, id: string, { id: idBytes, turn, on }: LetterBody<'hold'>): Promise<void> {
    const { gates, post } = this.#tools;
    const entry = this.#requests.get(id);
    // Whoever asks for nothing that was approved here holds nobody up.
    if (entry === undefined || entry.request.from !== from || !entry.isApproved) {
      if (on) post(from, 'held', { id: idBytes, turn, answer: 'unknown' });
      return;
    }
    clearTimeout(entry.holding);
    gates.release(id);
    if (!on) return;
    // Whoever has others hold the key, and does nothing, has had its time.
    entry.holding = setTimeout(() => gates.release(id), MAX_HOLD_MILLIS).unref();
    try {
      await gates.of(entry.request.key).hold(id, entry.over.signal);
      post(from, 'held', { id: entry.id, turn, answer: 'held' });
    } catch (error) {
      if (entry.over.signal.aborted) return;
      if (!(error instanceof BusyError)) throw error;
      post(from, 'held', { id: entry.id, turn, answer: 'busy' });
    }
  }

  /** The asker of `id` has ended it. */
  end(from: PartyName, id: string, { done, reason }: LetterBody<'end'>): void {
    const entry = this.#requests.get(id);
    if (entry === undefined || entry.request.from !== from) return;
    entry.isAskedAgain = false;
    // What is done there may still be on its way to its end here.
    if (done && entry.isRunning) {
      entry.isDone = true;
      return;
    }
    this.#end(entry, done ? endedAsDone(from) : givenUp(from, printable(reason, MAX_REASON)));
  }

  /** Takes nothing more up; what has not begun ends with `reason`. */
  withdraw(reason: MpcError): void {
    this.#isStopping = true;
    for (const entry of [...this.#requests.values()]) if (!entry.isRunning) this.#end(entry, reason);
  }

  /** Forgets everything, and records no end of it: that is for the next daemon to do. Nobody decides any more. */
  [Symbol.dispose](): void {
    const ended = new MpcError('INTERRUPTED', 'this daemon has ended');
    for (const entry of [...this.#requests.values()]) {
      this.#remove(entry);
      entry.over.abort(ended);
    }
  }

  /** Resolves when no request is left; rejects with the signal's reason. */
  settled(signal: AbortSignal): Promise<void> {
    return this.#condition.until(() => this.#requests.size === 0, signal);
  }

  /** `peer` is lost, and what it has asked for with it. */
  lost(peer: PartyName, error: MpcError): void {
    for (const entry of [...this.#requests.values()]) {
      if (entry.request.from !== peer) continue;
      entry.isAskedAgain = false;
      this.#end(entry, error);
    }
  }

  #accept(from: PartyName, content: RequestContent): Request {
    const waiting = [...this.#requests.values()].filter((other) => other.request.from === from);
    const bytes = waiting.reduce((sum, other) => sum + other.bytes, 0);
    if (waiting.length >= MAX_WAITING || bytes > MAX_WAITING_BYTES)
      throw new MpcError('DISAGREEMENT', `too many requests of ${from} wait here already`);
    return understand(this.#tools, from, content);
  }

  #decide(from: PartyName, id: string, entry: PeerRequest | undefined, decision: Decision): void {
    const { record, emit, post, self } = this.#tools;
    record({ event: 'decided', id, ...decision });
    emit({ event: 'decision', party: self, id, ...decision });
    const approved = decision.decision === 'approved';
    if (entry !== undefined) {
      if (approved) this.#approved(entry);
      else this.#remove(entry);
    }
    post(from, 'answer', {
      id: fromHex(id)!,
      approved,
      reason: printable(decision.reason ?? '', MAX_REASON),
    });
  }

  /** From now on its asker may begin it, but not for ever. */
  #approved(entry: PeerRequest): void {
    entry.isApproved = true;
    const expire = (): void => {
      entry.isExpired = true;
      if (!entry.isRunning) this.#end(entry, notBegunInTime(entry.request.from));
    };
    entry.expiry = setTimeout(expire, this.#tools.settings.requestTimeoutMillis).unref();
  }

  #remove(entry: PeerRequest): void {
    const { id } = entry.request;
    this.#requests.delete(id);
    for (const timer of [entry.holding, entry.expiry]) clearTimeout(timer);
    this.#tools.gates.release(id);
    entry.isGone = true;
    entry.condition.changed();
    this.#condition.changed();
  }

  async #takePart(entry: PeerRequest, letter: LetterBody<'begin'>): Promise<void> {
    const { gates, signal } = this.#tools;
    const { request, over } = entry;
    if (this.#isStopping) throw new MpcError('PEER_ABORTED', 'this daemon is stopping');
    if (letter.attempt <= entry.number) throw tooLate();
    if (!letter.alone && request.content.operation !== 'sign')
      throw new MpcError('DISAGREEMENT', 'only signatures are made beside other operations');
    entry.number = letter.attempt;
    // For its asker, what is left of an earlier attempt is over.
    entry.attempt?.abort(new MpcError('PEER_ABORTED', 'its asker has begun anew'));
    await entry.condition.until(() => !entry.isRunning, over.signal);
    if (letter.attempt !== entry.number || entry.isReleased || entry.isGone) throw tooLate();
    entry.attempt = new AbortController();
    using stop = anyOf(signal, over.signal, entry.attempt.signal);
    const released = (): void => {
      entry.isReleased = true;
    };
    try {
      const gate = gates.of(request.key);
      using _gate = letter.alone ? await gate.alone(request.id, stop.signal) : gate.join();
      const attempt = { number: letter.attempt, alone: letter.alone, ...this.#presignature(request, letter) };
      await perform(this.#tools, request, attempt, { signal: stop.signal, emit: () => {}, released });
      this.#forget(entry);
    } finally {
      entry.attempt = undefined;
      entry.condition.changed();
      if (over.signal.aborted) this.#fail(entry, asMpcError(over.signal.reason));
      else if (entry.isDone) this.#fail(entry, endedAsDone(request.from));
      else if (entry.isExpired) this.#fail(entry, notBegunInTime(request.from));
    }
  }

  #presignature(
    { from, content }: Request,
    { presignature: name }: LetterBody<'begin'>,
  ): Pick<Attempt, 'presignature'> {
    if (name === null) return {};
    const presignature = this.#tools.presignatures.takeHeld(from, name);
    if (presignature === undefined) throw new MpcError('DISAGREEMENT', 'the presignature is here no longer');
    const { keyId, quorum } = presignature.binding;
    if (
      content.operation === 'sign' &&
      equalBytes(keyId, content.key) &&
      quorum.join() === content.quorum.join()
    )
      return { presignature };
    presignature[Symbol.dispose]();
    throw new MpcError('DISAGREEMENT', 'the presignature is of another key or quorum');
  }

  #end(entry: PeerRequest, error: MpcError): void {
    entry.over.abort(error);
    if (!entry.isRunning) this.#fail(entry, error);
  }

  /** Records that `entry` has ended without result, if it has not ended yet. */
  #fail(entry: PeerRequest, error: MpcError): void {
    const { id } = entry.request;
    if (entry.isGone) return;
    const reason = printable(error.message, MAX_REASON);
    this.#tools.record({ event: 'failed', id, code: error.code, reason });
    this.#forget(entry, { code: error.code, reason });
  }

  #forget(entry: PeerRequest, failure?: { readonly code: ErrorCode; readonly reason: string }): void {
    const { emit, self: party } = this.#tools;
    const { id, from, content } = entry.request;
    this.#remove(entry);
    const { operation } = content;
    emit({ event: 'request-ended', party, id, from, operation, done: failure === undefined, ...failure });
  }
}

const endedAsDone = (asker: PartyName): MpcError =>
  new MpcError('PEER_ABORTED', `${asker} has ended it as done`, { culprits: [asker] });

const notBegunInTime = (asker: PartyName): MpcError =>
  new MpcError('TIMEOUT', `${asker} has not begun it in time`, { culprits: [asker] });

const givenUp = (asker: PartyName, reason: string): MpcError =>
  new MpcError('PEER_ABORTED', `${asker} gave it up: ${reason}`, { culprits: [asker] });

const tooLate = (): MpcError =>
  new MpcError('DISAGREEMENT', 'it has ended here, given its share out, or begun a later attempt');

function approvalRequest({ id, from, content }: Request): ApprovalRequest {
  const { messageBytes: _, ...facts } = factsOfContent(content);
  return { id, from, ...facts, ...(content.operation === 'sign' && { message: content.message }) };
}
