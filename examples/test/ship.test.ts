/** `logs/ship`, which brings lines to the node. */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { EXAMPLES } from '../demo/apps.mjs';
import { nodePorts, startNode } from '../demo/node.mjs';
import { until } from './support/until.ts';

const TOPIC = 'logs/"app"';

const base64url = (text: string): string => Buffer.from(text).toString('base64url');
const text = `${base64url('{"alg":"HS256"}')}.${base64url(JSON.stringify({ mercure: { publish: [TOPIC] } }))}`;
const signature = createHmac('sha256', 'the-secret-of-the-examples-is-no-secret').update(text).digest('base64url');

let ports: Awaited<ReturnType<typeof nodePorts>>;
let node: Awaited<ReturnType<typeof startNode>>;
let ends: (() => unknown)[] = [];

beforeEach(async () => {
  ports = await nodePorts();
  node = await startNode({ ports, origins: [] });
  ends = [() => node.stop()];
});

afterEach(async () => {
  for (const end of ends.reverse()) await end();
});

function ship(token = `${text}.${signature}`, path = process.env['PATH']) {
  const child = spawn('bash', ['logs/ship', TOPIC], {
    cwd: EXAMPLES,
    env: { PATH: path, FANTAIL_URL: node.url, FANTAIL_TOKEN: token },
    detached: true,
  });
  let said = '';
  child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
  child.stdin.on('error', () => {});
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  ends.push(() => {
    // It, and a curl that waits.
    if (child.exitCode === null) process.kill(-(child.pid as number), 'SIGKILL');
    return exit;
  });
  return { write: (bytes: string | Buffer) => child.stdin.write(bytes), end: () => child.stdin.end(), exit, said: () => said };
}

async function kept(): Promise<string[]> {
  const answer = await fetch(`${node.url}topics/${encodeURIComponent(TOPIC)}/events?limit=1000`);
  const { events } = (await answer.json()) as { events: { data: string; own_id: string }[] };
  // A line that came twice has the same id.
  return [...new Map(events.map(({ data, own_id }) => [own_id, data])).values()];
}

it('ships characters as they are, and leaves out what no event can have', async () => {
  const { write, end, exit } = ship();
  write('"quoted" \\n back\\slash\ttab $HOME `id` %s *\n\n  spaces  \nzoë 🦜\n\u001b[31mred\u001b[0m\r\n');
  write(Buffer.from([0x61, 0xff, 0x62, 0x0a]));
  write('no end');
  end();
  expect(await exit).toBe(0);
  expect(await kept()).toEqual([
    '"quoted" \\n back\\slash\ttab $HOME `id` %s *',
    '',
    '  spaces  ',
    'zoë 🦜',
    '[31mred[0m',
    'ab',
    'no end',
  ]);
});

it('ships a line when its end has come, and not before', async () => {
  const { write, end, exit } = ship();
  write('one\ntw');
  await until(async () => (await kept()).length === 1, 'the first line has come');
  write('o\n');
  await until(async () => (await kept()).length === 2, 'the second line has come');
  end();
  expect(await exit).toBe(0);
  expect(await kept()).toEqual(['one', 'two']);
});

it('ships many lines, in their order', async () => {
  const { write, end, exit } = ship();
  const lines = Array.from({ length: 900 }, (_, index) => `line ${index}`);
  write(`${lines.join('\n')}\n`);
  end();
  expect(await exit).toBe(0);
  expect(await kept()).toEqual(lines);
});

it('keeps lines while the node is away, or has no room', async () => {
  await node.stop();
  let requests = 0;
  const other = createServer((request, response) => {
    if (++requests % 2) request.socket.destroy();
    else response.writeHead(503).end();
  });
  const close = (): Promise<unknown> => new Promise((resolve) => other.close(resolve).closeAllConnections());
  ends.push(close);
  await new Promise<void>((resolve) => other.listen(ports.http, '127.0.0.1', resolve));

  const { write, end, exit } = ship();
  write('one\n');
  await until(() => requests >= 4, 'it is tried again');
  write('two\n');
  end();
  await close();
  node = await startNode({ ports, origins: [] });
  expect(await exit).toBe(0);
  expect(await kept()).toEqual(['one', 'two']);
});

it('has its token in no argument, where everyone could list it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fantail-ship-'));
  ends.push(() => rmSync(folder, { recursive: true }));
  const path = process.env['PATH'];
  const curl = `#!/bin/sh\necho "$@" > '${folder}/arguments'\nPATH='${path}' exec curl "$@"\n`;
  writeFileSync(join(folder, 'curl'), curl, { mode: 0o755 });
  const { write, end, exit } = ship(undefined, `${folder}:${path}`);
  write('one\n');
  end();
  expect(await exit).toBe(0);
  expect(await kept()).toEqual(['one']);
  const said = readFileSync(join(folder, 'arguments'), 'utf8');
  expect(said).toContain('x-ndjson');
  expect(said).not.toContain(signature);
});

it('ends with the reason when the node refuses', async () => {
  const { write, exit, said } = ship('no token');
  write('one\n');
  expect(await exit).toBe(1);
  expect(said()).toMatch(/the node refuses: .*token/s);
});
