/** The whole ceremony as one command: what `run` and `demo` are made of. */
import { formatPolicy } from '../access/policy.js';
import { clusterParty } from '../config/cluster.js';
import { type Secret, toHex } from '../core/bytes.js';
import type { PartyName } from '../core/errors.js';
import { messageDigest } from '../curve/digest.js';
import { recipientFromPem } from '../pve/recipient.js';
import type { RecoveryKey } from './backup.js';
import type { DoneEvent } from './events.js';
import { type Party, type PartyOptions, withParty } from './party.js';
import { resolveQuorum } from './quorum.js';

export interface RunOptions extends PartyOptions {
  /** The text to sign, as UTF-8. */
  readonly message: string;
  /** Who signs; default all parties, as far as the policy needs them. */
  readonly quorum?: readonly PartyName[];
  /** Who gets the signature: a member of the quorum (default its first), or `all` of it. */
  readonly receiver?: string;
  /** PEM of the public key that backups are encrypted to; without one a recovery key is made. */
  readonly backupKeyPem?: string;
}

export interface RunResult {
  readonly done: DoneEvent;
  /** Text of the backup file of the refreshed share. */
  readonly backupHex: string;
  /** PEM of the recovery key, when it was made here. The caller disposes it. */
  readonly recoveryKeyPem?: Secret;
}

/** One set-up after key generation, one in the refresh. */
const SETUPS = 2;

type Steps = Awaited<ReturnType<typeof loadSteps>>;

/** What the ceremony is made of: loaded when peers can connect already. */
async function loadSteps() {
  const [{ ceremony }, { BackupMaker }, { curveByName }] = await Promise.all([
    import('./ceremony.js'),
    import('./backup.js'),
    import('../curve/curve.js'),
  ]);
  return { ceremony, BackupMaker, curveByName };
}

async function newRecoveryKey({ background }: Party): Promise<RecoveryKey> {
  const { makeRecoveryKey } = await import('./backup.js');
  return makeRecoveryKey(background);
}

/**
 * Runs the ceremony as one party: waits for all peers, then runs every step. Peers are told when it fails.
 * Throws {@link MpcError}; every secret is wiped when it ends, but for the result's.
 */
export async function runParty(options: RunOptions): Promise<RunResult> {
  const { cluster, self, message, emit } = options;
  const parties = cluster.parties.map(({ name }) => name);
  const quorum = resolveQuorum(parties, cluster.policy, options.quorum, options.receiver);
  const recipient = options.backupKeyPem === undefined ? undefined : recipientFromPem(options.backupKeyPem);
  emit({
    event: 'start',
    party: self,
    parties,
    address: clusterParty(cluster, self).address,
    curve: cluster.curve,
    security: cluster.security,
    multiplication: cluster.multiplication,
    policy: formatPolicy(cluster.policy),
    quorum: quorum.quorum,
    receivers: quorum.receivers,
    message,
    messageHash: toHex(messageDigest(new TextEncoder().encode(message))),
  });
  return await withParty(options, async (party) => {
    party.prepareSetups(SETUPS);
    const key = recipient ? Promise.resolve<RecoveryKey>({ recipient }) : newRecoveryKey(party);
    // A failure is reported where the key is first needed, and not before.
    key.catch(() => {});
    try {
      const [connectMillis, steps] = await Promise.all([
        party.connect(parties.filter((name) => name !== self)),
        loadSteps(),
      ]);
      const { done, backupHex } = await goThrough(steps, party, key);
      const { privatePem } = await key;
      return {
        done: { ...done, millis: { connect: connectMillis, ...done.millis } },
        backupHex,
        ...(privatePem && { recoveryKeyPem: privatePem }),
      };
    } catch (error) {
      key.then(({ privatePem }) => privatePem?.dispose()).catch(() => {});
      throw error;
    }
  });

  function goThrough(steps: Steps, { compute, during }: Party, key: Promise<RecoveryKey>) {
    const label = () => `backup-${self}-${Math.floor(Date.now() / 1000)}`;
    return during({ curve: steps.curveByName(cluster.curve), policy: cluster.policy }, (resources) =>
      steps.ceremony(resources, {
        self,
        ...quorum,
        message,
        backups: new steps.BackupMaker({ key, compute, label, signal: resources.signal }),
        emit,
        clock: () => performance.now(),
      }),
    );
  }
}
