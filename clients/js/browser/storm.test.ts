/**
 * Many clients and a node that restarts, or that has no room for them. In Node: a browser would have no
 * connections for so many. How their attempts are spread over time is in `test/storm.test.ts`, whose
 * clock is its own.
 */
import { describe, expect, it } from 'vitest';
import { createClient, type Client, type DefaultEvents, type Status } from '../src/index.ts';
import { temporaryDirectory } from './support/directory.ts';
import { ending } from './support/ending.ts';
import { FULL } from './support/full.ts';
import { startProgram, type NodeProgram } from './support/program.ts';
import { numbers, until } from './support/tabs.ts';

const CLIENTS = FULL ? 200 : 80;

/** Streams that a node takes that has no room for all. */
const ROOM = 20;

/** One client, and what its server told it. */
interface Crowded {
  readonly client: Client<DefaultEvents>;
  readonly seen: string[];
  readonly gaps: unknown[];
  readonly states: Status[];
  /** For each end of a stream: what the server asked for last, and the wait that followed (milliseconds). */
  readonly waits: { readonly why: unknown; readonly asked: number; readonly delay: number }[];
}

/** Calls `told` with each `retry:` of a body. */
function listening(told: (milliseconds: number) => void): typeof fetch {
  return async (input, init) => {
    const response = await fetch(input, init);
    let text = '';
    const decoder = new TextDecoder();
    const body = response.body?.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform(bytes, controller) {
          text += decoder.decode(bytes, { stream: true });
          for (const [, wait] of text.matchAll(/^retry: (\d+)\n/gm)) told(Number(wait));
          text = text.slice(text.lastIndexOf('\n') + 1);
          controller.enqueue(bytes);
        },
      }),
    );
    return new Response(body ?? null, response);
  };
}

async function crowd(node: NodeProgram, count: number, retry?: { base: number; max: number }): Promise<Crowded[]> {
  const all: Crowded[] = [];
  for (let place = 0; place < count; place++) {
    const [seen, gaps, states, waits]: [string[], unknown[], Status[], Crowded['waits']] = [[], [], [], []];
    let asked = 0;
    const client = createClient({
      url: node.url,
      fetch: listening((milliseconds) => (asked = milliseconds)),
      ...(retry && { retry }),
      log: ({ kind, detail }) => kind === 'wait' && waits.push({ ...(detail as { why: unknown; delay: number }), asked }),
    });
    await ending(client);
    client.onStatus((status) => states.push(status));
    client.subscribe('t', { message: (data) => void seen.push(data), gap: (gap) => void gaps.push(gap) });
    all.push({ client, seen, gaps, states, waits });
  }
  return all;
}

const open = (clients: readonly Crowded[]): number => clients.filter(({ client }) => client.status.state === 'open').length;

describe(`${CLIENTS} clients`, () => {
  it('of a node that restarts with a drain keep to the waits that it gives each, and lose nothing', async () => {
    const directory = await ending(temporaryDirectory());
    const node = await ending(
      startProgram(['--state-dir', directory.path, '--drain-period', '2s', '--retry', '1s']),
    );
    const clients = await crowd(node, CLIENTS);
    await until(() => open(clients) === CLIENTS, 'all are open');
    for (const number of numbers(1, 20)) await node.publish('t', number);
    await until(() => clients.every(({ seen }) => seen.length === 20), 'the events before the restart');
    await node.stop();
    await node.start();
    for (const number of numbers(21, 40)) await node.publish('t', number);
    await until(() => clients.every(({ seen }) => seen.length >= 40), 'the events after the restart', 60_000);
    for (const { seen, gaps, waits } of clients) {
      expect([seen, gaps]).toEqual([numbers(1, 40), []]);
      expect(waits[0]?.why).toBe('drain');
      for (const { asked, delay } of waits) expect(delay).toBeGreaterThanOrEqual(asked);
    }
    // Half to one and a half times `retry`, so that those who leave together do not return together.
    const asked = clients.map(({ waits }) => waits[0]?.asked ?? 0);
    const bins = Array.from({ length: 10 }, (_, bin) => asked.filter((wait) => Math.min(9, Math.floor((wait - 500) / 100)) === bin).length);
    expect(bins.reduce((sum, bin) => sum + bin)).toBe(CLIENTS);
    expect(Math.max(...bins)).toBeLessThanOrEqual((3 * CLIENTS) / bins.length);
  }, 90_000);

  it(`of a node with room for ${ROOM} of them: the others are never shown as open until there is room`, async () => {
    const node = await ending(startProgram(['--max-streams', String(ROOM), '--retry', '1s']));
    const clients = await crowd(node, CLIENTS, { base: 100, max: 1_000 });
    await until(() => clients.filter(({ waits }) => waits.length).length === CLIENTS - ROOM, 'those without room have been told');
    const inside = clients.filter(({ states }) => states.some(({ state }) => state === 'open'));
    const outside = clients.filter((each) => !inside.includes(each));
    expect(inside).toHaveLength(ROOM);
    expect(await node.streams()).toBe(ROOM);
    for (const { waits } of outside) {
      for (const { why, asked, delay } of waits) {
        expect(why).toBe('shed');
        expect(delay).toBeGreaterThanOrEqual(asked);
      }
    }
    for (const { client } of inside) client.close();
    await until(() => open(outside) === ROOM, 'others have their places');
  }, 60_000);
});
