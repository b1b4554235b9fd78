/** The party that memory.ts measures: its network is the parent process. Runs with --expose-gc. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkHandler } from '#src/rounds/network.js';
import { WorkerPool } from '#src/work/pool.js';
import { MemoryCluster, testParty } from '#test/support/memory-network.js';
import { testMultiplication } from '#test/support/protocols.js';
import { type Held, type Letter, life, type Task } from './memory.js';
import { CURVE } from './memory-key.js';

/** The parent as a network. */
class ParentCluster extends MemoryCluster {
  override network(self: string) {
    const handlers = new Set<NetworkHandler>();
    process.on('message', ({ peer, bytes }: Letter) => {
      for (const handler of handlers) handler.message(peer, bytes);
    });
    return {
      self,
      parties: this.parties,
      send: async (peer: string, bytes: Uint8Array) => void process.send?.({ peer, bytes } satisfies Letter),
      subscribe: (handler: NetworkHandler) => {
        handlers.add(handler);
        return () => handlers.delete(handler);
      },
    };
  }
}

async function tell(after: string): Promise<void> {
  for (let k = 0; k < 3; k += 1) {
    globalThis.gc?.();
    await sleep(20);
  }
  const { heapUsed: heap, arrayBuffers: arrays, rss: resident } = process.memoryUsage();
  const peak = process.resourceUsage().maxRSS * 1024;
  process.send?.({ after, heap, arrays, resident, peak } satisfies Held);
}

process.once('message', ({ self, parties, multiplication }: Task) => {
  const pool = new WorkerPool();
  const party = testParty(new ParentCluster(parties), self, { compute: pool.compute });
  const index = parties.indexOf(self);
  void life(party, testMultiplication(CURVE, index, multiplication), tell)
    .then(() => pool.close())
    .finally(() => process.disconnect());
});
