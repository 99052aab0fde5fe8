import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { until } from './support/server.ts';
import { client, id, server } from './support/setup.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of the heap after a collection. */
function heap(): number {
  collect();
  collect();
  return process.memoryUsage().heapUsed;
}

describe('memory', () => {
  it('does not grow by 100,000 events and 200 reconnects, and nothing is left after close', async () => {
    const node = await server();
    const made = client({ url: node.url, retry: { base: 1, max: 1 } });
    let seen = 0;
    const store = made.live<number>({ topics: 'a', load: async () => 0, apply: (state) => state + 1 });
    store.subscribe(() => {});
    made.subscribe('a', { message: () => void seen++ });
    const perStream = 500;
    let before = 0;
    for (let stream = 0; stream < 201; stream++) {
      const exchange = (await node.exchange(stream)).prime(id(stream * perStream));
      const events = Array.from({ length: perStream }, (_, step) => `id: ${id(stream * perStream + step + 1)}\ntopic: a\ndata: x\n\n`);
      exchange.send(events.join(''));
      await until(() => seen === (stream + 1) * perStream);
      // The test keeps its exchanges; what they hold is not the client's.
      (node.exchanges as unknown[])[stream] = { gone: true };
      if (stream === 20) before = heap();
      if (stream < 200) exchange.end();
    }
    expect(seen).toBe(100_500);
    expect(heap() - before).toBeLessThan(2 * 1024 * 1024);
    made.close();
    await until(() => !(process as unknown as { getActiveResourcesInfo(): string[] }).getActiveResourcesInfo().includes('Timeout'), 'no timer is left');
  }, 60_000);
});
