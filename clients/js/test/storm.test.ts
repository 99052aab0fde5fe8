/**
 * Many clients that lose their streams together, on a clock of the test: the moments at which they come
 * back are the same on every machine.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createFakeNode } from '../src/testing/index.ts';
import { dice } from './support/dice.ts';
import { client } from './support/setup.ts';

const CLIENTS = 200;
const PERIOD_MS = 5_000;
const SEED = Number(process.env['SEED'] ?? 7);

beforeEach(() => {
  vi.useFakeTimers();
  const random = dice(SEED);
  vi.spyOn(Math, 'random').mockImplementation(() => random(1_000_000) / 1_000_000);
});

afterEach(() => {
  vi.useRealTimers();
});

/** `CLIENTS` clients of one node, which are open. */
async function crowd() {
  const node = createFakeNode();
  const asked: number[] = [];
  for (let place = 0; place < CLIENTS; place++) {
    // The defaults of the package.
    client({
      url: node.url,
      retry: {},
      fetch(input, init) {
        asked.push(Date.now());
        return node.fetch(input, init);
      },
    }).subscribe('t', {});
  }
  await vi.advanceTimersByTimeAsync(100);
  expect(node.streams).toHaveLength(CLIENTS);
  asked.length = 0;
  return { node, asked };
}

/** How many of the times are in each second after `start`. */
function bySecond(times: readonly number[], start: number): number[] {
  const seconds = Math.floor((Math.max(...times) - start) / 1_000) + 1;
  return Array.from({ length: seconds }, (_, second) => times.filter((time) => Math.floor((time - start) / 1_000) === second).length);
}

describe('200 clients', () => {
  it('of a node that drains come back over all of its period, none before its time', async () => {
    const { node, asked } = await crowd();
    const start = Date.now();
    const random = dice(SEED);
    const due: number[] = [];
    // As a node does: even steps, and a wait of its own for each stream.
    for (const [place, stream] of [...node.streams].entries()) {
      const wait = 500 + random(1_001);
      await vi.advanceTimersByTimeAsync(start + (place * PERIOD_MS) / CLIENTS - Date.now());
      due.push(Date.now() + wait);
      stream.drain(wait);
    }
    await vi.advanceTimersByTimeAsync(2_500);
    expect(asked).toHaveLength(CLIENTS);
    expect(node.streams).toHaveLength(CLIENTS);
    const bins = bySecond(asked, start);
    expect(Math.max(...bins)).toBeLessThanOrEqual((3 * CLIENTS) / bins.length);
    const ordered = due.sort((one, other) => one - other);
    for (const [place, time] of asked.entries()) expect(time).toBeGreaterThanOrEqual(ordered[place] as number);
  });

  it('that are cut together are spread by their own jitter, the more the longer the node is away', async () => {
    const { node, asked } = await crowd();
    node.refuse(502, { times: 10 * CLIENTS });
    const start = Date.now();
    node.cut();
    await vi.advanceTimersByTimeAsync(60_000);
    const first = asked.slice(0, CLIENTS).map((time) => Math.floor((time - start) / 100));
    expect(Math.max(...Array.from({ length: 10 }, (_, bin) => first.filter((each) => each === bin).length))).toBeLessThanOrEqual(60);
    const late = bySecond(asked.filter((time) => time >= start + 30_000), start + 30_000);
    // After some failures each waits 15 s in the mean: a node that comes back meets 13 a second, not 200.
    expect(Math.max(...late)).toBeLessThanOrEqual((3 * CLIENTS) / 15);
  });
});
