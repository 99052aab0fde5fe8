/** The names of the room, without a node and without a page. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { findApp, startApp } from '../demo/apps.mjs';
import { freePort } from '../demo/processes.mjs';
import { until } from './support/until.ts';

let app: Awaited<ReturnType<typeof startApp>>;

beforeAll(async () => {
  const port = await freePort();
  const nowhere = { fantail: 'http://127.0.0.1:1/', redis: 'redis://127.0.0.1:1' };
  app = await startApp(findApp('room'), { port, ...nowhere, environment: { TOKEN_SECONDS: '2' } });
});

afterAll(() => app?.stop());

async function enter(name: unknown): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(`${app.url}api/enter`, { method: 'POST', headers, body: JSON.stringify({ name }) });
}

it('a name is free again when its pages are gone, and not before', async () => {
  const entered = await enter('Eve');
  expect(entered.status).toBe(201);
  const cookie = entered.headers.get('set-cookie')?.split(';')[0] as string;
  const token = () => fetch(`${app.url}api/token`, { method: 'POST', headers: { cookie } });
  const end = Date.now() + 5_000;
  while (Date.now() < end) {
    expect((await token()).status).toBe(200);
    expect((await enter('EVE')).status).toBe(409);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await until(async () => (await enter('Eve')).status === 201, 'the name is free');
  // Who comes back is not the one who has the name now.
  expect((await token()).status).toBe(401);
});

it.each(['', 'a b', 'x'.repeat(21), '{name}', '*', 'a/b', 7, null, ['a']])('%j is no name, or a plain one', async (name) => {
  const answer = await enter(name);
  // The name stands in the selectors of a token.
  if (answer.status === 201) expect(((await answer.json()) as { name: string }).name).toMatch(/^[\p{L}\p{N}_-]{1,20}$/u);
  else expect(answer.status).toBe(400);
});
