/**
 * The requests of the other parties: decided on by this party's own rule, and taken part in when their asker begins
 * them. Nothing is begun that was not approved here, under the name of its whole content.
 */
import { equalBytes, fromHex } from '../core/bytes.js';
import { asMpcError, type ErrorCode, MpcError, type PartyName } from '../core/errors.js';
import { anyOf } from '../rounds/abort-signal.js';
import { printable } from '../rounds/untrusted.js';
import type { Approval, ApprovalRequest, Decision } from './approval-request.js';
import { Condition } from './condition.js';
import { BusyError } from './gates.js';
import { type LetterBody, MAX_REASON, type RequestContent, requestId } from './letters.js';
import { type Attempt, perform } from './perform.js';
import { factsOfContent, type Request, understand } from './requests.js';
import type { Tools } from './tools.js';

/** Bounds on what one peer has waiting here. */
const MAX_WAITING = 256;
const MAX_WAITING_BYTES = 16 * 1024 * 1024;

/** How long a peer may have a key held before it begins, milliseconds. */
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
  /** It is on no list any more. */
  isGone = false;
  holding: NodeJS.Timeout | undefined;

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

export class Answerer {
  readonly #tools: Tools;
  readonly #approval: Approval;
  readonly #requests = new Map<string, PeerRequest>();
  /** Requests of which this party has given its share of a signature out, now or in an earlier process. */
  readonly #begun: Set<string>;

  constructor(tools: Tools, approval: Approval) {
    this.#tools = tools;
    this.#approval = approval;
    this.#begun = new Set(tools.audit.begunIds());
  }

  list(): readonly PeerRequestState[] {
    return [...this.#requests.values()];
  }

  /** `from` asks for something, or asks again after it has lost sight of this party. */
  async request(from: PartyName, content: RequestContent): Promise<void> {
    const { record, emit, post, signal, self } = this.#tools;
    const id = requestId(from, content);
    const known = this.#requests.get(id);
    if (known?.isApproved && !known.over.signal.aborted)
      return post(from, 'answer', { id: known.id, approved: true, reason: '' });
    if (known !== undefined && !known.over.signal.aborted) return;
    // What is left of it is ending.
    await known?.condition.until(() => known.isGone, signal);
    if (this.#requests.has(id)) return;
    if (this.#begun.has(id))
      return post(from, 'answer', {
        id: fromHex(id)!,
        approved: false,
        reason: 'its signing has begun here before',
      });
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
        reason: printable(asMpcError(cause).message, MAX_REASON),
      };
    }
    // Its asker has given it up meanwhile, or is lost.
    if (!entry?.isGone) this.#decide(from, id, entry, decision);
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
      const reason = printable(error.message, MAX_REASON);
      post(from, 'failed', { id: letter.id, attempt: letter.attempt, code, reason });
    }
  }

  /** The asker of `id` needs a key alone: says when what this party has started on it is over. */
  async hold(from: PartyName, id: string, { turn, on }: LetterBody<'hold'>): Promise<void> {
    const { gates, post } = this.#tools;
    const entry = this.#requests.get(id);
    // Whoever asks for nothing that was approved here holds nobody up.
    if (entry === undefined || entry.request.from !== from || !entry.isApproved) return;
    clearTimeout(entry.holding);
    gates.release(id);
    if (!on) return;
    // Whoever has others hold the key, and does nothing, has had its time.
    entry.holding = setTimeout(() => gates.release(id), MAX_HOLD_MILLIS).unref();
    try {
      await gates.of(entry.request.key).hold(id, entry.over.signal);
      post(from, 'held', { id: entry.id, turn, busy: false });
    } catch (error) {
      if (entry.over.signal.aborted) return;
      if (!(error instanceof BusyError)) throw error;
      post(from, 'held', { id: entry.id, turn, busy: true });
    }
  }

  /** The asker of `id` has ended it. */
  end(from: PartyName, id: string, { done, reason }: LetterBody<'end'>): void {
    const entry = this.#requests.get(id);
    if (entry === undefined || entry.request.from !== from) return;
    // What is done there may still be on its way to its end here.
    if (done && entry.isRunning) return;
    const why = done
      ? `${from} has ended it as done`
      : `${from} gave it up: ${printable(reason, MAX_REASON)}`;
    this.#end(entry, new MpcError('PEER_ABORTED', why, { culprits: [from] }));
  }

  /** Ends with `reason` what has not begun: this daemon stops. */
  withdraw(reason: MpcError): void {
    for (const entry of [...this.#requests.values()]) if (!entry.isRunning) this.#end(entry, reason);
  }

  /** `peer` is lost, and what it has asked for with it. */
  lost(peer: PartyName, error: MpcError): void {
    for (const entry of [...this.#requests.values()])
      if (entry.request.from === peer) this.#end(entry, error);
  }

  #accept(from: PartyName, content: RequestContent): Request {
    const waiting = [...this.#requests.values()].filter((other) => other.request.from === from);
    const bytes = waiting.reduce((sum, other) => sum + other.bytes, 0);
    if (waiting.length >= MAX_WAITING || bytes > MAX_WAITING_BYTES)
      throw new MpcError('USAGE', `too many requests of ${from} wait here already`);
    return understand(this.#tools, from, content);
  }

  #decide(from: PartyName, id: string, entry: PeerRequest | undefined, decision: Decision): void {
    const { record, emit, post, self } = this.#tools;
    record({ event: 'decided', id, ...decision });
    emit({ event: 'decision', party: self, id, ...decision });
    const approved = decision.decision === 'approved';
    if (entry !== undefined && approved) entry.isApproved = true;
    else this.#requests.delete(id);
    post(from, 'answer', { id: fromHex(id)!, approved, reason: decision.reason ?? '' });
  }

  async #takePart(entry: PeerRequest, letter: LetterBody<'begin'>): Promise<void> {
    const { gates, signal } = this.#tools;
    const { request, over } = entry;
    if (letter.attempt <= entry.number) throw tooLate();
    entry.number = letter.attempt;
    // For its asker, what is left of an earlier attempt is over.
    entry.attempt?.abort(new MpcError('PEER_ABORTED', 'its asker has begun anew'));
    await entry.condition.until(() => !entry.isRunning, over.signal);
    if (letter.attempt !== entry.number || entry.isReleased) throw tooLate();
    entry.attempt = new AbortController();
    using stop = anyOf(signal, over.signal, entry.attempt.signal);
    const released = (): void => {
      entry.isReleased = true;
      this.#begun.add(request.id);
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
    const { emit, gates, self: party } = this.#tools;
    const { id, from, content } = entry.request;
    this.#requests.delete(id);
    clearTimeout(entry.holding);
    gates.release(id);
    entry.isGone = true;
    entry.condition.changed();
    const { operation } = content;
    emit({ event: 'request-ended', party, id, from, operation, done: failure === undefined, ...failure });
  }
}

const tooLate = (): MpcError =>
  new MpcError('DISAGREEMENT', 'the share of this signature was given out, or a later attempt has begun');

function approvalRequest({ id, from, content }: Request): ApprovalRequest {
  const { messageBytes: _, ...facts } = factsOfContent(content);
  return { id, from, ...facts, ...(content.operation === 'sign' && { message: content.message }) };
}
