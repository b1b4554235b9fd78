/** Certificates for tests: an authority and leaves with any names, dates and uses. */
import 'reflect-metadata';
import { createPrivateKey, KeyObject, webcrypto } from 'node:crypto';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const DAY = 24 * 60 * 60 * 1000;

/** A certificate and its key, PEM. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

export interface LeafOptions {
  /** Its common name; default the first DNS name. */
  readonly commonName?: string;
  readonly ips?: readonly string[];
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly usages?: readonly ('client' | 'server')[];
}

export const daysFromNow = (days: number): Date => new Date(Date.now() + days * DAY);

const newKeys = () => webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

const keyPem = (keys: webcrypto.CryptoKeyPair): string =>
  KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }) as string;

/** A certificate authority that signs whatever it is asked to. */
export class TestAuthority {
  readonly #privateKey: webcrypto.CryptoKey;
  readonly #certificate: X509Certificate;

  private constructor(privateKey: webcrypto.CryptoKey, certificate: X509Certificate) {
    this.#privateKey = privateKey;
    this.#certificate = certificate;
  }

  static async create(name = 'test authority'): Promise<TestAuthority> {
    const keys = await newKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      name: `CN=${name}`,
      keys,
      signingAlgorithm: ALGORITHM,
      notBefore: daysFromNow(-30),
      notAfter: daysFromNow(30),
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    return new TestAuthority(keys.privateKey, certificate);
  }

  /** The authority with this certificate and key, PEM: of a cluster whose certificates the program made. */
  static async load({ cert, key }: Credentials): Promise<TestAuthority> {
    const certificate = new X509Certificate(cert);
    const pkcs8 = createPrivateKey(key).export({ type: 'pkcs8', format: 'der' });
    const privateKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    return new TestAuthority(privateKey, certificate);
  }

  /** Its own certificate, PEM. */
  get cert(): string {
    return this.#certificate.toString('pem');
  }

  /** A certificate for the given DNS names. */
  async issue(names: readonly string[], options: LeafOptions = {}): Promise<Credentials> {
    const keys = await newKeys();
    const alternatives: JsonGeneralNames = [
      ...names.map((value) => ({ type: 'dns' as const, value })),
      ...(options.ips ?? []).map((value) => ({ type: 'ip' as const, value })),
    ];
    const usages = (options.usages ?? ['client', 'server']).map((usage) =>
      usage === 'client' ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth,
    );
    const certificate = await X509CertificateGenerator.create({
      subject: `CN=${options.commonName ?? names[0] ?? 'nobody'}`,
      issuer: this.#certificate.subject,
      publicKey: keys.publicKey,
      signingKey: this.#privateKey,
      signingAlgorithm: ALGORITHM,
      notBefore: options.notBefore ?? daysFromNow(-1),
      notAfter: options.notAfter ?? daysFromNow(7),
      extensions: [
        new BasicConstraintsExtension(false),
        new ExtendedKeyUsageExtension(usages),
        ...(alternatives.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)]),
      ],
    });
    return { cert: certificate.toString('pem'), key: keyPem(keys) };
  }
}
