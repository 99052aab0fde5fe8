/** What the dashboard's README says of the server's side, without a browser. */
import { readFileSync } from 'node:fs';
import { get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createClient } from 'redis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXAMPLES } from '../demo/apps.mjs';
import { nodePorts, startNode } from '../demo/node.mjs';
import { until } from './support/until.ts';

/** A stream that is read as text, or is not read yet. */
function hear(url: string, headers: Record<string, string> = {}) {
  let text = '';
  const request = get(url, { headers });
  request.on('error', () => {});
  const opened = new Promise<void>((resolve, reject) => {
    request.once('error', reject);
    request.once('response', (response) => {
      response.setEncoding('utf8').on('error', () => {});
      resolve();
      stream.resume = () => void response.on('data', (part: string) => (text += part));
    });
  });
  const stream = { opened, text: () => text, resume: () => {}, end: () => request.destroy() };
  return stream;
}

describe('the number of visitors', () => {
  let node: Awaited<ReturnType<typeof startNode>>;
  beforeAll(async () => {
    node = await startNode({ ports: await nodePorts(), origins: ['http://127.0.0.1:1'] });
  });
  afterAll(() => node?.stop());

  it('jumps to the newest for a tab that does not read, and its stream goes on', async () => {
    const stream = hear(`${node.url}events/dashboard/visitors`);
    await stream.opened;
    const redis = createClient({ url: node.redis });
    await redis.connect();
    try {
      // More than any socket holds, and more than the history keeps.
      const long = 'x'.repeat(2_000);
      for (let batch = 0; batch < 20; batch++) {
        const numbers = Array.from({ length: 1_000 }, (_, number) => `${batch * 1_000 + number} ${long}`);
        await Promise.all(numbers.map((number) => redis.publish('dashboard/visitors', number)));
      }
      stream.resume();
      await until(() => stream.text().includes('19999 x'), 'the newest number');
      const text = stream.text();
      expect(text).toMatch(/event: gap\ndata: .*"reason":"lagged"/);
      expect(text.match(/^data: \d+ x/gm)?.length).toBeLessThan(10_000);
      await redis.publish('dashboard/visitors', 'and on');
      await until(() => stream.text().includes('data: and on'), 'the stream goes on');
    } finally {
      stream.end();
      redis.destroy();
    }
  });
});

describe('the server without a node', () => {
  it('is a part of the README as it is', () => {
    const readme = readFileSync(join(EXAMPLES, 'dashboard/README.md'), 'utf8');
    const source = readFileSync(join(EXAMPLES, 'dashboard/without.mjs'), 'utf8');
    const quoted = /```js\n(export function publish[^]*?)```/.exec(readme)?.[1];
    expect(quoted).toBeTruthy();
    expect(source).toContain(quoted);
  });

  it('is a fair comparison: it streams, resumes, and tells a gap', async () => {
    // Neither has types.
    const load = (name: string): Promise<any> => import(name);
    const { default: express } = await load('express');
    const { stream: router, publish, close } = await load('../dashboard/without.mjs');
    const http: Server = express().use(router).listen(0, '127.0.0.1');
    await new Promise((resolve) => http.once('listening', resolve));
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}/events?topic=orders`;
    const streams = [hear(url)];
    try {
      const [first] = streams as [ReturnType<typeof hear>];
      await first.opened;
      first.resume();
      publish('others', 0);
      publish('orders', { id: 1 });
      await until(() => first.text() === 'id: 2\nevent: orders\ndata: {"id":1}\n\n', 'the event of its topic');

      first.end();
      publish('orders', { id: 2 });
      const resumed = hear(url, { 'last-event-id': '2' });
      const unknown = hear(url, { 'last-event-id': '99' });
      streams.push(resumed, unknown);
      for (const each of [resumed, unknown]) await each.opened.then(() => each.resume());
      await until(() => resumed.text() === 'id: 3\nevent: orders\ndata: {"id":2}\n\n', 'what was missed');
      await until(() => unknown.text().startsWith('event: gap\n'), 'a gap');
    } finally {
      streams.forEach(({ end }) => end());
      close();
      http.closeAllConnections();
      http.close();
    }
  });
});
