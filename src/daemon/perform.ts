/** One attempt at a request, at whoever takes part in it: its sessions, and what the audit log says of them. */
import { equalBytes, toHex } from '../core/bytes.js';
import { invariant } from '../core/errors.js';
import type { EventSink } from '../party/events.js';
import { keyEvent } from '../party/everyday.js';
import type { ShareFacts } from '../party/operations.js';
import type { BackupTools } from '../party/stored-backup.js';
import type { StoredKeyEvent, Work } from '../party/stored-keys.js';
import { type KeyShare, printId, type Sharing } from '../protocol/key-share.js';
import type { Presignature } from '../protocol/presign.js';
import type { RequestContent, SignContent } from './letters.js';
import type { Request } from './requests.js';
import type { Tools } from './tools.js';

export interface Attempt {
  /** From 1. */
  readonly number: number;
  /** Nothing else runs on the key. */
  readonly alone: boolean;
  /** Of a signature: the presignature to use. It is taken over. */
  readonly presignature?: Presignature;
}

export interface Outcome {
  readonly sharing: Sharing;
  /** DER, verified; on receivers. */
  readonly signature?: Uint8Array;
}

export interface Performing {
  readonly signal: AbortSignal;
  readonly emit: EventSink;
  /** Told when this party is about to give its share of the signature out: from here on, nothing may be repeated. */
  readonly released: () => void;
  /** Of a refresh: backs the new share up before it is stored, and before the old one is of no use. */
  readonly backUp?: BackUp;
}

/** Backs a share up. */
export type BackUp = (share: KeyShare, tools: BackupTools) => Promise<void>;

/** Takes part in the sessions of this attempt, and records how they end if they end well. */
export async function perform(
  tools: Tools,
  request: Request,
  attempt: Attempt,
  { signal, emit, released, backUp = tools.backUp }: Performing,
): Promise<Outcome> {
  const { record, running, self } = tools;
  const { id, content, key } = request;
  const { operation } = content;
  using entry = running.enter({ id, operation, ...(key !== undefined && { key }) });
  using _presignature = attempt.presignature;
  return await tools.during(request.kind, signal, async (resources) => {
    let sharing = sharingOf(tools, attempt.presignature);
    const work: Work = {
      resources: {
        ...resources,
        progress: (stage, done, total) => {
          entry.progress(stage, done, total);
          emit({ event: 'progress', party: self, step: operation, stage, done, total });
        },
      },
      tell: (event) => {
        if (event.kind !== 'setup') sharing = event.sharing;
        tell(tools, emit, event);
      },
      beforeShare: (share) => {
        record({ event: 'signing', id, ...recordOf(share) });
        released();
      },
    };
    const beforeStoring = backUp && ((share: KeyShare) => backUp(share, { ...tools, signal, emit }));
    const signature = await act(tools, work, request, attempt, beforeStoring);
    invariant(sharing !== undefined, 'an operation has ended and named no sharing');
    recordEnd(tools, id, content, sharing, signature);
    return { sharing, ...(signature && { signature }) };
  });
}

/** What is recorded of a share of a signature. */
const recordOf = ({ keyId, epoch, quorum, receivers, messageHash, presignature }: ShareFacts) => ({
  ...{ key: printId(keyId), epoch, quorum: [...quorum], receivers: [...receivers] },
  ...{ messageHash: toHex(messageHash), presignature: printId(presignature) },
});

/** The sharing that a presignature is of, if it is there still. */
function sharingOf({ keystore }: Tools, presignature: Presignature | undefined): Sharing | undefined {
  if (presignature === undefined) return undefined;
  const { keyId, shid } = presignature.binding;
  return keystore.key(keyId)?.sharings.find(({ sharing }) => equalBytes(sharing.shid, shid))?.sharing;
}

async function act(
  { keys }: Tools,
  work: Work,
  { id, content }: Request,
  { number, alone, presignature }: Attempt,
  beforeStoring: ((share: KeyShare) => Promise<void>) | undefined,
): Promise<Uint8Array | undefined> {
  // No two attempts of any request have a name in common: a request begins each attempt at most once.
  const name = `${id} ${number}`;
  switch (content.operation) {
    case 'keygen':
      await keys.generate(work, name);
      return undefined;
    case 'refresh':
      await keys.refresh(work, name, content.key, beforeStoring);
      return undefined;
    case 'sign':
      return presignature === undefined
        ? await keys.sign(work, name, content.key, signingRequest(content), { shared: !alone })
        : await keys.signPrepared(work, name, presignature, signingRequest(content));
  }
}

const signingRequest = ({ message, quorum, receivers }: SignContent) => ({ message, quorum, receivers });

function recordEnd(
  { record }: Tools,
  id: string,
  { operation }: RequestContent,
  { keyId, epoch }: Sharing,
  signature: Uint8Array | undefined,
): void {
  const key = printId(keyId);
  if (operation === 'keygen') record({ event: 'generated', id, key });
  else if (operation === 'refresh') record({ event: 'refreshed', id, key, epoch });
  else record({ event: 'signed', id, ...(signature && { signature: toHex(signature) }) });
}

/** Tells whoever waits for the operation; the user of this party hears of what its key has become, whoever asked. */
function tell(tools: Tools, emit: EventSink, event: StoredKeyEvent): void {
  const { self, presignatures, keystore } = tools;
  const told = keyEvent(self, event);
  emit(told);
  if (event.kind === 'key' || event.kind === 'refreshed') tools.emit(told);
  if (event.kind === 'setup') return;
  const { keyId } = event.sharing;
  const stored = keystore.key(keyId)?.sharings ?? [];
  presignatures.keep(
    keyId,
    stored.map(({ sharing }) => sharing.shid),
  );
}
