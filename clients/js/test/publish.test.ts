import { describe, expect, it, vi } from 'vitest';
import { until } from './support/server.ts';
import { client, server } from './support/setup.ts';

describe('publish', () => {
  it('sends one event, and answers with its id and how many streams get it', async () => {
    const node = await server();
    const made = client({ url: node.url, token: () => 'T' });
    const receipt = made.publish(['a', 'b'], { n: 1 }, { event: 'created', id: 'o-7', private: true });
    const { url, method, headers, body, answer } = await node.exchange(0);
    expect([url.pathname, method, headers.authorization, headers['content-type']]).toEqual(['/publish', 'POST', 'Bearer T', 'application/json']);
    expect(JSON.parse(body)).toEqual({ topics: ['a', 'b'], data: { n: 1 }, event: 'created', id: 'o-7', private: true });
    answer(200, { id: '1-0.abcdef', subscribers: 3 });
    expect(await receipt).toEqual({ id: '1-0.abcdef', subscribers: 3 });
    expect(made.status.state).toBe('idle');
  });

  it('sends a key as a member to a node, and as a header to a hub', async () => {
    const node = await server();
    const made = client({ url: node.url });
    void made.publish('a', 'x', { key: 'k-1' }).catch(() => {});
    expect(JSON.parse((await node.exchange(0)).body)).toEqual({ topics: ['a'], data: 'x', key: 'k-1' });
    void made.publish('a', 'x').catch(() => {});
    expect(JSON.parse((await node.exchange(1)).body)).toEqual({ topics: ['a'], data: 'x' });
    const hub = client({ url: node.url, server: 'mercure' });
    void hub.publish('a', 'x', { key: 'a "b" \\' }).catch(() => {});
    const { headers, body } = await node.exchange(2);
    expect([headers['idempotency-key'], body]).toEqual(['"a \\"b\\" \\\\"', 'topic=a&data=x']);
  });

  it('sends nothing with a key that no server can take', async () => {
    const node = await server();
    for (const key of ['', 'é', 'a\nb', 'a\n', 'k'.repeat(256)]) {
      for (const kind of ['fantail', 'mercure'] as const) {
        const made = client({ url: node.url, server: kind });
        await expect(made.publish('a', 'x', { key })).rejects.toThrow('`key` must be');
      }
    }
    expect(node.exchanges).toHaveLength(0);
  });

  it('sends a text as it is', async () => {
    const node = await server();
    void client({ url: node.url }).publish('a', '{"x"').catch(() => {});
    expect(JSON.parse((await node.exchange(0)).body)).toEqual({ topics: ['a'], data: '{"x"' });
  });

  it('asks for another token once', async () => {
    const node = await server();
    const token = vi.fn((why: string) => why);
    const receipt = client({ url: node.url, token }).publish('a', '');
    (await node.exchange(0)).answer(401);
    const second = await node.exchange(1);
    expect(second.headers.authorization).toBe('Bearer refused');
    second.answer(401);
    await expect(receipt).rejects.toMatchObject({ code: 'unauthorized', status: 401 });
    expect(node.exchanges).toHaveLength(2);
  });

  it('throws with what the node said', async () => {
    const node = await server();
    const receipt = client({ url: node.url }).publish('a', 'x');
    (await node.exchange(0)).answer(400, { detail: '`id` must not be empty', field: 'id' });
    await expect(receipt).rejects.toMatchObject({ code: 'refused', message: 'the server answered 400: `id` must not be empty', problem: { field: 'id' } });
  });

  it('says that an event may be published when the answer is lost', async () => {
    const node = await server();
    const receipt = client({ url: node.url }).publish('a', 'x');
    (await node.exchange(0)).cut();
    await expect(receipt).rejects.toMatchObject({ code: 'network', message: expect.stringContaining('may or may not be published') });
  });

  it('ends with its signal and with the client', async () => {
    const node = await server();
    const made = client({ url: node.url });
    const abort = new AbortController();
    const one = made.publish('a', 'x', { signal: abort.signal });
    const two = made.publish('a', 'x');
    await node.exchange(1);
    abort.abort(new Error('mine'));
    await expect(one).rejects.toThrow();
    made.close();
    await expect(two).rejects.toThrow();
    await until(() => node.open().length === 0);
  });

  it('ends with its signal while the token or the headers are not there yet', async () => {
    const never = (): Promise<never> => new Promise(() => {});
    for (const options of [{ token: never }, { headers: never }]) {
      const made = client({ url: 'http://127.0.0.1:1/', ...options });
      const abort = new AbortController();
      const one = made.publish('a', 'x', { signal: abort.signal });
      const two = made.publish('a', 'x');
      abort.abort(new Error('mine'));
      await expect(one).rejects.toThrow('mine');
      made.close();
      await expect(two).rejects.toThrow('the client was closed');
    }
  });

  it('asks for no token when it ended before', async () => {
    const token = vi.fn(() => 'T');
    const made = client({ url: 'http://127.0.0.1:1/', token });
    await expect(made.publish('a', 'x', { signal: AbortSignal.abort(new Error('mine')) })).rejects.toThrow('mine');
    made.close();
    await expect(made.publish('a', 'x')).rejects.toThrow('the client was closed');
    expect(token).not.toHaveBeenCalled();
  });

  it('refuses what cannot be sent', async () => {
    const made = client({ url: 'http://127.0.0.1:1/' });
    await expect(made.publish('a', undefined)).rejects.toThrow('`data` must be a text or what JSON can hold');
    await expect(made.publish('', 'x')).rejects.toThrow('`topics` is ""');
    await expect(client({ url: 'http://127.0.0.1:1/stream' }).publish('a', 'x')).rejects.toThrow('`publish` needs a node or a Mercure hub');
  });

  it('speaks to a Mercure hub in its form', async () => {
    const hub = await server();
    const made = client({ url: `${hub.url}.well-known/mercure` });
    const receipt = made.publish('https://x/1', { a: 1 }, { event: 'e', id: 'i', private: true });
    const { headers, body, answer } = await hub.exchange(0);
    expect(headers['content-type']).toContain('application/x-www-form-urlencoded');
    expect([...new URLSearchParams(body)]).toEqual([
      ['topic', 'https://x/1'],
      ['data', '{"a":1}'],
      ['id', 'i'],
      ['type', 'e'],
      ['private', 'on'],
    ]);
    answer(200, 'urn:uuid:7', { 'content-type': 'text/plain' });
    expect(await receipt).toEqual({ id: 'urn:uuid:7', subscribers: undefined });
  });
});
