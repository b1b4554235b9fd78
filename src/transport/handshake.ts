/**
 * How a fresh TLS connection becomes a link's. The dialling side judges the certificate and says hello; the waiting
 * side judges the certificate and that hello before it answers with its own: so a link that is up on the dialling
 * side has been accepted on both. Whoever refuses says why, where the other side can use it.
 */
import type { TLSSocket } from 'node:tls';
import { equalBytes } from '../core/bytes.js';
import { UndecodableError } from '../core/codec.js';
import { MpcError, type PartyName } from '../core/errors.js';
import { Connection } from './connection.js';
import type { Frame } from './frame.js';
import { decodeHello, encodeHello, type Hello, helloVersion, TRANSPORT_VERSION } from './hello.js';
import {
  decodeRefusal,
  encodeRefusal,
  type Identity,
  judge,
  REFUSALS,
  type Refusal,
  refusalByPeer,
  refusalOfPeer,
} from './identity.js';
import type { Link } from './link.js';

/** This party and its peers, as far as a handshake needs them. */
export interface Cluster {
  readonly self: PartyName;
  /** In cluster order. */
  readonly parties: readonly Identity[];
  link(peer: PartyName): Link;
}

/** Why a connection came to nothing; `refusal` is what the peer is told. */
export class HandshakeError extends Error {
  readonly refusal: Refusal | undefined;

  constructor(problem: string, refusal?: Refusal) {
    super(problem);
    this.name = 'HandshakeError';
    this.refusal = refusal;
  }
}

const refused = (refusal: Refusal): HandshakeError => new HandshakeError(refusalOfPeer(refusal), refusal);

/**
 * The dialling side: attaches the connection over `socket` to `link` and returns it.
 * Throws {@link HandshakeError}, `DISAGREEMENT`, or whatever ended the socket.
 */
export async function greet(cluster: Cluster, link: Link, socket: TLSSocket): Promise<Connection> {
  const connection = new Connection(socket);
  try {
    const verdict = judge(socket, cluster.self, cluster.parties);
    if (verdict.refusal !== undefined) throw refused(verdict.refusal);
    if (verdict.party !== link.peer) throw refused('other-party');
    const introduction = link.introduction();
    sayHello(cluster, connection, introduction);
    const hello = readHello(cluster, link, await connection.next());
    // The link may have given the peer up meanwhile: then this side has introduced a past incarnation.
    if (!equalBytes(introduction.incarnation, link.introduction().incarnation)) {
      throw new HandshakeError('given up during the handshake');
    }
    const refusal = link.meet(hello);
    if (refusal !== undefined) throw refused(refusal);
    link.attach(connection, verdict.expires);
    return connection;
  } catch (error) {
    turnAway(connection, error);
    throw error;
  }
}

/** The waiting side: attaches the connection to the link of whoever proves to be at the other end. Throws as above. */
export async function welcome(cluster: Cluster, socket: TLSSocket): Promise<void> {
  const connection = new Connection(socket);
  try {
    const { link, expires } = callerOf(cluster, socket);
    try {
      await meetCaller(cluster, link, connection);
      link.attach(connection, expires);
    } catch (error) {
      link.note((error as Error).message);
      throw error;
    }
  } catch (error) {
    turnAway(connection, error);
    throw error;
  }
}

/** The link of the party whose certificate the dialling side has shown, and when that certificate expires. */
function callerOf(cluster: Cluster, socket: TLSSocket): { readonly link: Link; readonly expires: Date } {
  const verdict = judge(socket, cluster.self, cluster.parties);
  if (verdict.refusal === undefined) return { link: cluster.link(verdict.party), expires: verdict.expires };
  if (verdict.claimed !== undefined && verdict.claimed !== cluster.self) {
    const problem = `a connection in its name was refused: ${REFUSALS[verdict.refusal]}`;
    cluster.link(verdict.claimed).noteHearsay(problem);
  }
  throw refused(verdict.refusal);
}

/** Exchanges hellos with the party that has dialled; afterwards `link` can have the connection. */
async function meetCaller(cluster: Cluster, link: Link, connection: Connection): Promise<void> {
  const names = cluster.parties.map((party) => party.name);
  if (names.indexOf(link.peer) < names.indexOf(cluster.self)) throw refused('direction');
  const hello = await hearHello(cluster, link, connection);
  const refusal = link.meet(hello);
  if (refusal !== undefined) throw refused(refusal);
  sayHello(cluster, connection, link.introduction());
}

async function hearHello(cluster: Cluster, link: Link, connection: Connection): Promise<Hello> {
  const frame = await connection.next();
  try {
    return readHello(cluster, link, frame);
  } catch (error) {
    // Answered all the same: the peer then sees the disagreement, with both values, for itself.
    if (error instanceof MpcError) sayHello(cluster, connection, link.introduction());
    throw error;
  }
}

function sayHello(
  { self, parties }: Cluster,
  connection: Connection,
  introduction: Pick<Hello, 'incarnation' | 'resume'>,
): void {
  const hello = { from: self, parties: parties.map((party) => party.name), ...introduction };
  connection.write({ kind: 'hello', body: encodeHello(hello) });
}

/** The peer's hello in its first frame; a disagreement is also noted with the link. */
function readHello(cluster: Cluster, link: Link, frame: Frame): Hello {
  if (frame.kind === 'refusal') throw new HandshakeError(refusalByPeer(decodeRefusal(frame.body)));
  if (frame.kind !== 'hello') throw refused('malformed');
  try {
    const version = helloVersion(frame.body);
    if (version !== TRANSPORT_VERSION) throw versionError(link.peer, version);
    const hello = decodeHello(frame.body);
    if (hello.from !== link.peer) throw refused('other-name');
    const ours = cluster.parties.map((party) => party.name);
    if (hello.parties.join() !== ours.join()) throw partiesError(link.peer, hello.parties, ours);
    return hello;
  } catch (error) {
    if (error instanceof UndecodableError) throw refused('malformed');
    if (error instanceof MpcError) link.disagree(error);
    throw error;
  }
}

/** Ends a connection that has come to nothing, with the reason where there is one to tell. */
function turnAway(connection: Connection, error: unknown): void {
  const refusal = error instanceof HandshakeError ? error.refusal : undefined;
  if (refusal === undefined) connection.end('the handshake failed');
  else connection.end(refusalOfPeer(refusal), { kind: 'refusal', body: encodeRefusal(refusal) });
}

const versionError = (peer: PartyName, version: number): MpcError =>
  new MpcError(
    'DISAGREEMENT',
    `${peer} speaks version ${version} of the transport, this party version ${TRANSPORT_VERSION}`,
    { hint: 'run the same version of ecdsa-mpc everywhere', culprits: [peer] },
  );

const partiesError = (peer: PartyName, theirs: readonly PartyName[], ours: readonly PartyName[]): MpcError =>
  new MpcError(
    'DISAGREEMENT',
    `the cluster.json of ${peer} lists the parties ${theirs.join(', ')}; this one lists ${ours.join(', ')}`,
    { hint: 'list the same parties in the same order everywhere', culprits: [peer] },
  );
