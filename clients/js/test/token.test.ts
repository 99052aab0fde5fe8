import { afterEach, describe, expect, it, vi } from 'vitest';
import { lifeOf, TOKEN_WAIT_MS } from '../src/token.ts';
import { until } from './support/server.ts';
import { client, id, jwt, server, states } from './support/setup.ts';

const seconds = (): number => Date.now() / 1_000;

afterEach(() => {
  vi.useRealTimers();
});

describe('a token', () => {
  it('is asked for once at a time, whoever needs it', async () => {
    const node = await server();
    let answer: (token: string) => void = () => {};
    const token = vi.fn(() => new Promise<string>((resolve) => (answer = resolve)));
    const made = client({ url: node.url, token });
    made.subscribe('a', {});
    made.subscribe('{b}', {});
    const published = made.publish('c', 'x').catch(() => {});
    await until(() => token.mock.calls.length);
    answer('T');
    const [one, two, three] = await Promise.all([node.exchange(0), node.exchange(1), node.exchange(2)]);
    for (const { headers } of [one, two, three]) expect(headers.authorization).toBe('Bearer T');
    expect(token.mock.calls.map((call: unknown[]) => call[0])).toEqual(['first']);
    made.close();
    await published;
  });

  it('of null is a client without a token, and a text is sent as it is', async () => {
    const node = await server();
    client({ url: node.url, token: () => null }).subscribe('a', {});
    expect((await node.exchange(0)).headers.authorization).toBeUndefined();
    client({ url: node.url, token: 'fixed' }).subscribe('a', {});
    expect((await node.exchange(1)).headers.authorization).toBe('Bearer fixed');
    expect(node.exchanges.every(({ url }) => !url.search.includes('fixed'))).toBe(true);
  });

  it('is renewed before its end, and the stream is replaced without a loss', async () => {
    const node = await server();
    let count = 0;
    const token = vi.fn((_why: string) => {
      count++;
      return jwt({ exp: seconds() + (count === 1 ? 0.4 : 600), count });
    });
    const made = client({ url: node.url, token });
    const seen: string[] = [];
    const gap = vi.fn();
    made.subscribe('a', { message: (data) => void seen.push(data), gap });
    const first = (await node.exchange(0)).prime(id(0)).event(id(1), '1', { topic: 'a' });
    const second = await node.exchange(1);
    expect(second.headers.authorization).not.toBe(first.headers.authorization);
    expect(second.headers['last-event-id']).toBe(id(1));
    expect(first.gone).toBe(false);
    first.event(id(2), '2', { topic: 'a' });
    await until(() => seen.length === 2);
    second.prime(id(1)).event(id(2), '2', { topic: 'a' }).event(id(3), '3', { topic: 'a' });
    await until(() => first.gone && seen.length === 3);
    expect(seen).toEqual(['1', '2', '3']);
    expect(token.mock.calls.map(([why]) => why)).toEqual(['first', 'expiring']);
    expect(gap).not.toHaveBeenCalled();
  });

  it('is renewed without a repetition at a server of any kind: its first block is no heartbeat', async () => {
    const other = await server();
    let count = 0;
    const made = client({ url: `${other.url}stream`, token: () => jwt({ exp: seconds() + (count++ ? 600 : 0.3) }) });
    const seen: string[] = [];
    made.subscribe([], { message: (data) => void seen.push(data) });
    const first = (await other.exchange(0)).prime(id(0)).event(id(1), '1');
    const second = await other.exchange(1);
    first.event(id(2), '2');
    await until(() => seen.length === 2);
    second.prime(id(1)).event(id(2), '2').event(id(3), '3');
    await until(() => seen.length === 3);
    expect(seen).toEqual(['1', '2', '3']);
  });

  it('is renewed 30 s before its end, and a short one after three quarters of its life', () => {
    const now = 1_000_000_000;
    expect(lifeOf(jwt({ exp: now / 1_000 + 60 }), now)).toBe(60_000);
    expect(lifeOf(jwt({ exp: now / 1_000 + 60, iat: now / 1_000 - 30 }), now)).toBe(60_000);
    // The page's clock is an hour ahead, and one hour behind.
    expect(lifeOf(jwt({ exp: now / 1_000 - 3_540, iat: now / 1_000 - 3_600 }), now)).toBe(60_000);
    expect(lifeOf(jwt({ exp: now / 1_000 + 3_660, iat: now / 1_000 + 3_600 }), now)).toBe(60_000);
    for (const none of ['opaque', jwt({}), jwt({ exp: 'x' }), jwt({ exp: 5, iat: 9 })]) expect(lifeOf(none, now)).toBeUndefined();
  });

  it('that the server refuses is asked for once more; a second 401 closes, with no more requests', async () => {
    const node = await server();
    const token = vi.fn((why: string) => Promise.resolve(why));
    const made = client({ url: node.url, token });
    const errors: string[] = [];
    made.subscribe('a', { error: (error) => void errors.push(`${error.code} ${error.status} ${error.message}`) });
    (await node.exchange(0)).answer(401, { detail: 'the token has expired' });
    const second = await node.exchange(1);
    expect(second.headers.authorization).toBe('Bearer refused');
    second.answer(401, { detail: 'not yours' });
    await until(() => errors.length);
    expect(errors).toEqual(['unauthorized 401 the server answered 401: not yours']);
    expect(made.status).toMatchObject({ state: 'closed', why: { code: 'unauthorized', problem: { detail: 'not yours' } } });
    expect(token).toHaveBeenCalledTimes(2);
    expect(node.exchanges).toHaveLength(2);
  });

  it('that is refused after the stream was open is again asked for once', async () => {
    const node = await server();
    const token = vi.fn((why: string) => Promise.resolve(`${why}`));
    const made = client({ url: node.url, token });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(401);
    (await node.exchange(1)).prime(id(0)).end();
    (await node.exchange(2)).answer(401);
    (await node.exchange(3)).prime(id(0));
    await until(() => made.status.state === 'open');
    expect(token.mock.calls.map(([why]) => why)).toEqual(['first', 'refused', 'refused']);
  });

  it('that is fixed and refused closes at once', async () => {
    const node = await server();
    const made = client({ url: node.url, token: 'fixed' });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(401);
    await until(() => made.status.state === 'closed');
    expect(node.exchanges).toHaveLength(1);
  });

  it('function that throws is tried again after a wait', async () => {
    const node = await server();
    let calls = 0;
    const made = client({
      url: node.url,
      token() {
        if (++calls < 3) throw new Error('no network');
        return 'T';
      },
    });
    const seen = states(made);
    made.subscribe('a', {});
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    const waits = seen.filter((status) => status.state === 'waiting');
    expect(waits.map(({ why }) => String(why))).toEqual(Array(2).fill('FantailError: the token function failed: Error: no network'));
  });

  it('function that never answers is given up after 30 s, and told so', async () => {
    vi.useFakeTimers();
    let signal: AbortSignal | undefined;
    const made = client({
      url: 'http://127.0.0.1:1/',
      token: (_why, own) => {
        signal ??= own;
        return new Promise<string>(() => {});
      },
    });
    const seen = states(made);
    made.subscribe('a', {});
    await vi.advanceTimersByTimeAsync(TOKEN_WAIT_MS + 1);
    expect(signal?.aborted).toBe(true);
    expect(seen).toContainEqual(expect.objectContaining({ state: 'waiting', why: expect.objectContaining({ code: 'unauthorized' }) }));
  });

  it('that was replaced meanwhile is not asked for again by another stream', async () => {
    const node = await server();
    let count = 0;
    const made = client({ url: node.url, token: () => `T${++count}` });
    made.subscribe('a', {});
    made.subscribe('{b}', {});
    const second = await node.exchange(1);
    node.exchanges[0]?.answer(401);
    expect((await node.exchange(2)).headers.authorization).toBe('Bearer T2');
    second.answer(401);
    expect((await node.exchange(3)).headers.authorization).toBe('Bearer T2');
    expect(count).toBe(2);
  });

  it('that arrives in the moment in which its session ends is not used either', async () => {
    const node = await server();
    const answers: ((token: string) => void)[] = [];
    const made = client({ url: node.url, token: () => new Promise<string>((resolve) => answers.push(resolve)) });
    made.subscribe('a', {});
    await until(() => answers.length === 1);
    answers[0]?.('old');
    const refreshed = made.refreshToken();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const published = made.publish('a', 'x').catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 5));
    answers[1]?.('new');
    await refreshed;
    await node.exchange(1);
    expect(node.exchanges.map(({ headers }) => headers.authorization)).toEqual(['Bearer new', 'Bearer new']);
    made.close();
    await published;
  });

  it('of a function that answers at once is not used either when its session ends in that moment', async () => {
    const node = await server();
    let count = 0;
    const made = client({ url: node.url, token: () => `T${++count}` });
    const published = made.publish('a', 'x');
    const refreshed = made.refreshToken();
    await expect(published).rejects.toMatchObject({ code: 'unauthorized', message: expect.stringContaining('the session was ended') });
    await refreshed;
    expect(node.exchanges).toHaveLength(0);
  });

  it('that is renewed where the server has no cursors is no gap: both requests overlap', async () => {
    const other = await server();
    let count = 0;
    const made = client({ url: `${other.url}stream`, token: () => jwt({ exp: seconds() + (count++ ? 600 : 0.3) }) });
    const said: unknown[] = [];
    made.subscribe([], { message: (data) => void said.push(data), gap: (gap) => void said.push(gap) });
    (await other.exchange(0)).head();
    await until(() => made.status.state === 'open');
    (await other.exchange(1)).head().send('data: 1\n\n');
    await until(() => said.length);
    expect(said).toEqual(['1']);
  });

  it('of a session that has ended is never used, and its stream ends at once', async () => {
    const node = await server();
    const answers: ((token: string) => void)[] = [];
    const signals: AbortSignal[] = [];
    const made = client({
      url: node.url,
      token: (_why, signal) => {
        signals.push(signal);
        return new Promise<string>((resolve) => answers.push(resolve));
      },
    });
    made.subscribe('a', {});
    await until(() => answers.length === 1);
    const refreshed = made.refreshToken();
    expect(signals[0]?.aborted).toBe(true);
    await until(() => answers.length === 2);
    answers[0]?.('old');
    answers[1]?.('new');
    await refreshed;
    const first = (await node.exchange(0)).prime(id(4));
    expect(first.headers.authorization).toBe('Bearer new');
    await until(() => made.status.state === 'open');
    const again = made.refreshToken();
    // Nothing more of the old session is heard, even while the new token is on its way.
    await until(() => first.gone);
    answers[2]?.('newer');
    await again;
    const second = await node.exchange(1);
    expect([second.headers.authorization, second.headers['last-event-id']]).toEqual(['Bearer newer', id(4)]);
  });

  it('of another session: what the old one told in the same read is not heard from it', async () => {
    const node = await server();
    const made = client({ url: node.url, token: async () => 'T' });
    const seen: string[] = [];
    made.subscribe('a', {
      message(data) {
        seen.push(data);
        if (data === 'log out') void made.refreshToken();
      },
    });
    const first = (await node.exchange(0)).prime(id(0));
    const text = ['before', 'log out', 'secret'].map((data, index) => `id: ${id(index + 1)}\ntopic: a\ndata: ${data}\n\n`);
    first.send(text.join(''));
    const second = await node.exchange(1);
    expect(second.headers['last-event-id']).toBe(id(2));
    second.prime(id(3)).event(id(4), 'after', { topic: 'a' });
    await until(() => seen.includes('after'));
    expect(seen).toEqual(['before', 'log out', 'after']);
  });

  it('opens refused streams again by refreshToken, which fails as the function does', async () => {
    const node = await server();
    let fails = false;
    const made = client({
      url: node.url,
      token: () => (fails ? Promise.reject(new Error('signed out')) : Promise.resolve('T')),
    });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(403);
    await until(() => made.status.state === 'closed');
    await made.refreshToken();
    (await node.exchange(1)).prime(id(0));
    await until(() => made.status.state === 'open');
    fails = true;
    await expect(made.refreshToken()).rejects.toThrow('signed out');
  });

  it('of the last of several calls of refreshToken counts for all, and none is asked for after close', async () => {
    const calls: { resolve(token: string): void; reject(error: Error): void }[] = [];
    const token = (): Promise<string> => new Promise((resolve, reject) => calls.push({ resolve, reject }));
    const made = client({ url: 'http://127.0.0.1:1/', token });
    const three = [made.refreshToken(), made.refreshToken(), made.refreshToken()];
    calls[2]?.resolve('T');
    await Promise.all(three);
    const failing = [made.refreshToken(), made.refreshToken()];
    calls[4]?.reject(new Error('signed out'));
    for (const each of failing) await expect(each).rejects.toThrow('signed out');
    const ended = made.refreshToken();
    made.close();
    await ended;
    await made.refreshToken();
    expect(calls).toHaveLength(6);
  });

  it('that its function keeps until its end replaces no stream, and is asked for every 5 s', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const node = await server();
    const start = Date.now();
    const kept = jwt({ exp: seconds() + 60 });
    const token = vi.fn(() => (Date.now() < start + 60_000 ? kept : jwt({ exp: seconds() + 600 })));
    const made = client({ url: node.url, token, idle: 600_000 });
    made.subscribe('a', {});
    await vi.advanceTimersByTimeAsync(1);
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    await vi.advanceTimersByTimeAsync(58_000);
    expect([token.mock.calls.length, node.exchanges.length]).toEqual([4, 1]);
    await vi.advanceTimersByTimeAsync(5_000);
    await node.exchange(1);
  });

  it('never reaches the log or an error', async () => {
    const node = await server();
    const lines: unknown[] = [];
    const made = client({ url: node.url, token: () => 'S3CRET', log: (line) => void lines.push(line) });
    made.subscribe('a', {});
    (await node.exchange(0)).answer(401);
    (await node.exchange(1)).answer(403);
    await until(() => made.status.state === 'closed');
    expect(lines.length).toBeGreaterThan(4);
    expect(JSON.stringify(lines) + String((made.status as { why: unknown }).why)).not.toContain('S3CRET');
  });

  it('that no header can have is in no message, and line ends around one do not count', async () => {
    const node = await server();
    const lines: unknown[] = [];
    const answers = ['S3CRET\nof two lines', '<html>S3CRET</html> page', ' S3CRET\r\n'];
    const made = client({ url: node.url, token: () => answers.shift() ?? null, log: (line) => void lines.push(String(line.detail)) });
    made.subscribe('a', {});
    const first = await node.exchange(0);
    expect(first.headers.authorization).toBe('Bearer S3CRET');
    expect(lines.join('\n')).toContain('a token of ASCII or null is needed');
    expect(lines.join('\n')).not.toContain('S3CRET');
  });

  it('that fails to be renewed leaves the stream open, and is asked for again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
    const node = await server();
    let calls = 0;
    const made = client({
      url: node.url,
      idle: 600_000,
      token() {
        if (++calls === 2) throw new Error('away');
        return jwt({ exp: seconds() + 200, calls });
      },
    });
    made.subscribe('a', {});
    await vi.advanceTimersByTimeAsync(1);
    (await node.exchange(0)).prime(id(0));
    await until(() => made.status.state === 'open');
    await vi.advanceTimersByTimeAsync(169_000);
    expect(calls).toBe(1);
    await vi.advanceTimersByTimeAsync(2_000);
    expect([calls, made.status.state]).toEqual([2, 'open']);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(calls).toBe(3);
    (await node.exchange(1)).prime(id(0));
    await until(() => node.exchanges[0]?.gone);
  });
});
