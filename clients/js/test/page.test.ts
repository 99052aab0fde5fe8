import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { until } from './support/server.ts';
import { client, id, server, states } from './support/setup.ts';

/** A page that the test hides, leaves and takes off line. */
class FakePage extends EventTarget {
  visibilityState = 'visible';
  listeners = 0;

  override addEventListener(...values: Parameters<EventTarget['addEventListener']>): void {
    this.listeners++;
    super.addEventListener(...values);
  }

  override removeEventListener(...values: Parameters<EventTarget['removeEventListener']>): void {
    this.listeners--;
    super.removeEventListener(...values);
  }

  say(...names: string[]): void {
    for (const name of names) this.dispatchEvent(new Event(name));
  }

  show(state: 'visible' | 'hidden'): void {
    this.visibilityState = state;
    this.say('visibilitychange');
  }
}

let page: FakePage;

beforeEach(() => {
  page = new FakePage();
  vi.stubGlobal('document', page);
  vi.stubGlobal('addEventListener', page.addEventListener.bind(page));
  vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function open(options: { hidden?: 'pause' | 'keep'; idle?: number } = {}) {
  const node = await server();
  const made = client({ url: node.url, ...options });
  const seen = states(made);
  made.subscribe('a', {});
  (await node.exchange(0)).prime(id(5));
  await until(() => made.status.state === 'open');
  return { node, made, seen };
}

describe('a page', () => {
  it('that is left ends its stream; one that comes back goes on from the cursor', async () => {
    const { node, made } = await open();
    page.say('pagehide');
    await until(() => node.open().length === 0);
    expect(made.status).toEqual({ state: 'waiting', attempt: 1, at: Infinity, why: 'hidden' });
    // Nothing is opened while it is away.
    made.subscribe('b', {});
    page.say('online', 'visibilitychange');
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(node.exchanges).toHaveLength(1);
    page.say('pageshow');
    const second = (await node.exchange(1)).prime(id(5));
    expect(second.headers['last-event-id']).toBe(id(5));
    await until(() => made.status.state === 'open');
  });

  it('that is shown for the first time keeps its stream', async () => {
    const { node, made } = await open();
    page.say('pageshow', 'resume');
    page.show('visible');
    expect(made.status.state).toBe('open');
    expect(node.exchanges).toHaveLength(1);
  });

  it('that is hidden keeps its stream', async () => {
    const { node, made } = await open();
    page.show('hidden');
    expect(made.status.state).toBe('open');
    expect(node.open()).toHaveLength(1);
  });

  it('that is hidden pauses with `hidden: pause`, and loses nothing', async () => {
    const { node, made } = await open({ hidden: 'pause' });
    page.show('hidden');
    await until(() => node.open().length === 0);
    expect(made.status).toMatchObject({ state: 'waiting', why: 'hidden' });
    page.show('visible');
    expect((await node.exchange(1)).headers['last-event-id']).toBe(id(5));
  });

  it('that is hidden from the start opens nothing with `hidden: pause`', async () => {
    page.visibilityState = 'hidden';
    const node = await server();
    const made = client({ url: node.url, hidden: 'pause' });
    made.subscribe('a', {});
    await until(() => made.status.state === 'waiting');
    expect(node.exchanges).toHaveLength(0);
    page.show('visible');
    await node.exchange(0);
  });

  it.each(['resume', 'pageshow', 'visibilitychange'])('that wakes up (%s) compares clocks at once', async (name) => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { node, seen } = await open({ idle: 20_000 });
    vi.setSystemTime(Date.now() + 21_000);
    page.say(name);
    expect(seen.at(-1)).toMatchObject({ state: 'waiting', why: { code: 'idle' } });
    await node.exchange(1);
  });

  it('that is off line sets no timer, and comes back within a second of `online`', async () => {
    const { node, made } = await open();
    vi.stubGlobal('navigator', { onLine: false });
    node.exchanges[0]?.cut();
    await until(() => made.status.state === 'waiting');
    expect(made.status).toMatchObject({ why: 'offline', at: Infinity });
    page.say('offline');
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(node.exchanges).toHaveLength(1);
    vi.stubGlobal('navigator', { onLine: true });
    vi.spyOn(Math, 'random').mockReturnValue(0.03);
    const before = Date.now();
    page.say('online');
    expect((made.status as { at: number }).at - before).toBeLessThanOrEqual(1_000);
    await node.exchange(1);
  });

  it('that goes off line while it waits stops its timer', async () => {
    const { node, made } = await open();
    vi.spyOn(Math, 'random').mockReturnValue(0.9);
    node.exchanges[0]?.end('retry: 60\n\n');
    await until(() => made.status.state === 'waiting');
    page.say('offline');
    expect(made.status).toMatchObject({ state: 'waiting', at: Infinity, why: 'offline' });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(node.exchanges).toHaveLength(1);
  });

  it('that comes back on line respects the wait that the server asked for', async () => {
    const { node, made } = await open();
    const start = Date.now();
    node.exchanges[0]?.end('retry: 5000\n\n');
    await until(() => made.status.state === 'waiting');
    page.say('online');
    expect((made.status as { at: number }).at - start).toBeGreaterThanOrEqual(4_900);
  });

  it('that comes back on line waits a day at most, whatever the server asked for', async () => {
    const { node, made } = await open();
    node.exchanges[0]?.end(`retry: ${'9'.repeat(400)}\n\n`);
    await until(() => made.status.state === 'waiting');
    page.say('online');
    const wait = (made.status as { at: number }).at - Date.now();
    expect(wait).toBeGreaterThan(86_000_000);
    expect(wait).toBeLessThanOrEqual(86_400_000);
    expect(node.exchanges).toHaveLength(1);
  });

  it('that comes back on line with an open stream replaces it, in case it has lost its way', async () => {
    const { node, made } = await open();
    vi.spyOn(Math, 'random').mockReturnValue(0.01);
    page.say('offline');
    expect(made.status.state).toBe('open');
    page.say('online');
    const second = await node.exchange(1);
    expect(node.exchanges[0]?.gone).toBe(false);
    second.prime(id(5));
    await until(() => node.exchanges[0]?.gone);
    expect(made.status.state).toBe('open');
  });

  it('that goes off line again before it replaced its stream keeps it', async () => {
    const { node } = await open();
    vi.spyOn(Math, 'random').mockReturnValue(0.06);
    page.say('online', 'offline');
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(node.exchanges).toHaveLength(1);
  });

  it('is listened to only while there is a stream', async () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    expect(page.listeners).toBe(0);
    made.subscribe('a', {});
    await until(() => page.listeners);
    made.close();
    expect(page.listeners).toBe(0);
    const other = await open();
    other.node.exchanges[0]?.cut();
    (await other.node.exchange(1)).answer(403);
    await until(() => other.made.status.state === 'closed');
    expect(page.listeners).toBe(0);
  });
});
