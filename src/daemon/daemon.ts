/**
 * A party that stays up: it takes letters from the other daemons and commands from its own users, and sees to it that
 * each request ends, here and in the audit log.
 */
import { toHex } from '../core/bytes.js';
import { UndecodableError } from '../core/codec.js';
import { asMpcError, MpcError, type PartyName } from '../core/errors.js';
import type { TransportLogger } from '../transport/log.js';
import { Answerer, type FailureListener } from './answerer.js';
import type { Approval } from './approval-request.js';
import { Asker, type Caller } from './asker.js';
import { decodeLetter, type Letter, type RequestContent } from './letters.js';
import type { Outcome } from './perform.js';
import { Stocker } from './stocker.js';
import type { Tools } from './tools.js';

export interface DaemonOptions {
  readonly tools: Tools;
  readonly approval: Approval;
  readonly version: string;
  readonly logger: TransportLogger;
  /** Told of what makes going on impossible: what cannot be recorded must not be done. */
  readonly fatal: (error: MpcError) => void;
}

/** How many undecodable letters of a peer are logged, and how many cheats in what it asked for. */
const MAX_NOTICES = 100;

export class Daemon implements Disposable {
  readonly asker: Asker;
  readonly answerer: Answerer;
  readonly #options: DaemonOptions;
  readonly #stocker: Stocker;
  /** What each peer says that it is. */
  readonly #versions = new Map<PartyName, string>();
  readonly #dropped = new Map<PartyName, number>();
  readonly #cheated = new Map<PartyName, number>();

  constructor(options: DaemonOptions) {
    const { tools, approval, logger } = options;
    this.#options = options;
    this.asker = new Asker(tools);
    const failed: FailureListener = (from, error) => this.#lookForCheats(from, error);
    this.answerer = new Answerer(tools, approval, failed);
    const unfilled = (error: MpcError): void =>
      logger.warn({ reason: withHint(error) }, 'no presignatures made');
    this.#stocker = new Stocker(tools, { unfilled, failed });
  }

  versionOf(peer: PartyName): string | undefined {
    return this.#versions.get(peer);
  }

  /** Sees a request of this party's user through. */
  async ask(content: RequestContent, caller: Caller): Promise<Outcome> {
    try {
      return await this.asker.ask(content, caller);
    } finally {
      this.#stocker.look();
    }
  }

  /** The link to `peer` is up. */
  linkUp(peer: PartyName): void {
    this.#options.tools.post(peer, 'greeting', { version: this.#options.version });
    this.asker.linkUp(peer);
    this.#stocker.look();
  }

  /** `peer` has restarted, or is gone: nothing that it knew counts any more. */
  lost(peer: PartyName, error: MpcError): void {
    this.#guard(() => {
      this.#versions.delete(peer);
      this.#options.tools.presignatures.dropPeer(peer);
      this.asker.lost(peer, error);
      this.answerer.lost(peer, error);
    });
  }

  /** A letter of a peer. What cannot be read is dropped: nobody but its sender waits for it. */
  receive(from: PartyName, subject: string, bytes: Uint8Array): void {
    try {
      const letter = decodeLetter(subject, bytes);
      this.#guard(() => this.#handle(from, letter));
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
      if (isNoticed(this.#dropped, from))
        this.#options.logger.warn({ peer: from, reason: error.message }, 'dropped a letter');
    }
  }

  /** Takes no more requests, and ends those that have not begun. */
  stop(): void {
    const reason = new MpcError('INTERRUPTED', `the daemon of ${this.#options.tools.self} is stopping`, {
      hint: 'ask again when it has been started',
    });
    this.#stocker[Symbol.dispose]();
    this.asker.withdraw(reason);
    this.answerer.withdraw(reason);
  }

  /** Resolves when every request has ended, and nothing runs any more; rejects with the signal's reason. */
  async settled(signal: AbortSignal): Promise<void> {
    const { running } = this.#options.tools;
    await Promise.all([this.asker.settled(signal), this.answerer.settled(signal), running.ended(signal)]);
  }

  [Symbol.dispose](): void {
    this.#stocker[Symbol.dispose]();
    this.answerer[Symbol.dispose]();
    this.#options.tools.presignatures[Symbol.dispose]();
  }

  async #handle(from: PartyName, { subject, body }: Letter): Promise<void> {
    switch (subject) {
      case 'greeting':
        this.#versions.set(from, body.version);
        return;
      case 'request':
        return await this.answerer.request(from, body.content);
      case 'begin':
        // The part of the presignature that it names may be just about to be finished here.
        if (body.presignature !== null) await this.#stocker.helping(from);
        await this.answerer.begin(from, toHex(body.id), body);
        return this.#stocker.look();
      case 'end':
        return this.answerer.end(from, toHex(body.id), body);
      case 'answer':
        return this.asker.answer(from, toHex(body.id), body);
      case 'held':
        return this.asker.held(from, toHex(body.id), body);
      case 'failed':
        this.asker.failed(from, toHex(body.id), body);
        return this.#stocker.failed(from, toHex(body.id), body);
      case 'hold':
        return await this.answerer.hold(from, toHex(body.id), body);
      case 'presign':
        await this.#stocker.help(from, body);
        return this.#stocker.look();
    }
  }

  /**
   * What `from` asked for has failed here, which it is told. Where somebody cheated, this party's user is told as well:
   * the one who cheated may be `from`.
   */
  #lookForCheats(from: PartyName, error: MpcError): void {
    if ((error.code === 'PROTOCOL' || error.code === 'EQUIVOCATION') && isNoticed(this.#cheated, from))
      this.#options.logger.warn(
        { peer: from, reason: withHint(error) },
        'somebody cheated in what a peer asked for',
      );
  }

  /** Runs what a peer has set off: whatever it throws is of this party's own making. */
  async #guard(act: () => void | Promise<void>): Promise<void> {
    try {
      await act();
    } catch (cause) {
      this.#options.fatal(asMpcError(cause));
    }
  }
}

/** Counts one more of `peer`, and says whether it is logged: more could only fill the log. */
function isNoticed(counts: Map<PartyName, number>, peer: PartyName): boolean {
  const count = (counts.get(peer) ?? 0) + 1;
  counts.set(peer, count);
  return count <= MAX_NOTICES;
}

const withHint = ({ message, hint }: MpcError): string =>
  hint === undefined ? message : `${message}: ${hint}`;
