/** The two-party multiplication that a cluster asks for. */
import type { ClusterConfig } from '../config/cluster.js';
import type { Curve } from '../curve/curve.js';
import { securityLevel } from '../math/params.js';
import type { Multiplication } from '../multiplication/multiplication.js';
import { otMultiplication } from '../multiplication/ot.js';
import { type PrimeSource, paillierMultiplication } from '../multiplication/paillier.js';

type Asked = Pick<ClusterConfig, 'multiplication' | 'security'>;

/** For a key of `curve`; `primes` are asked only where it needs any. */
export const multiplicationOf = (
  { multiplication, security }: Asked,
  curve: Curve,
  primes: PrimeSource,
): Multiplication =>
  multiplication === 'ot'
    ? otMultiplication(curve)
    : paillierMultiplication(curve, securityLevel(security), primes);
