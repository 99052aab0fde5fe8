import type { Page } from 'playwright-core';
import { createClient } from 'redis';
import { describe, expect, it } from 'vitest';
import { KINDS } from '../../clients/js/browser/support/browsers.ts';
import { isMarked, mark, says } from './support/pages.ts';
import { useStage } from './support/stage.ts';
import { until } from './support/until.ts';

const TOKEN_SECONDS = 4;
const AWAY = 'no connection, trying again';

const items = (page: Page, list: 'Said' | 'Here'): Promise<string[]> =>
  page.getByRole('list', { name: list }).getByRole('listitem').allInnerTexts();

const isHeard = (page: Page, line: string): Promise<unknown> =>
  until(async () => (await items(page, 'Said')).includes(line), `"${line}" is heard`);

const areHere = (page: Page, names: string[]): Promise<unknown> =>
  until(async () => (await items(page, 'Here')).join() === names.join(), `here are ${names.join(', ')}`);

async function enter(page: Page, name: string): Promise<Page> {
  await page.getByLabel('Name').fill(name);
  await page.getByRole('button', { name: 'Enter' }).click();
  return page;
}

async function say(page: Page, text: string): Promise<void> {
  await page.getByLabel('Say').fill(text);
  await page.getByLabel('Say').press('Enter');
}

const alertOf = (page: Page): Promise<string> => page.getByRole('alert').innerText();

describe.each(KINDS)('the room in %s', (kind) => {
  const stage = useStage('room', kind, { environment: { TOKEN_SECONDS: String(TOKEN_SECONDS) }, keepsHistory: true });

  /** Somebody without a page. Each test has its own: a name is taken for a while. */
  async function robot(name: string) {
    const headers = { 'content-type': 'application/json' };
    const entered = await fetch(`${stage.url}api/enter`, { method: 'POST', headers, body: JSON.stringify({ name }) });
    expect(entered.status).toBe(201);
    const cookie = entered.headers.get('set-cookie')?.split(';')[0] as string;
    const token = async () => (await fetch(`${stage.url}api/token`, { method: 'POST', headers: { cookie } })).text();
    return {
      /** Says something under a name, at the node itself. */
      async say(text: string, as = name): Promise<Response> {
        const authorization = `Bearer ${await token()}`;
        const body = JSON.stringify({ topic: `rooms/lobby/${as}`, data: text, event: 'said', private: true });
        return fetch(`${stage.node.url}publish`, { method: 'POST', headers: { ...headers, authorization }, body });
      },
    };
  }

  it('is talked in, and shows who is there', async () => {
    const ada = await enter(await stage.open(), 'Ada');
    await says(ada, 'live');
    await areHere(ada, ['Ada']);
    const other = await stage.another();
    const zoe = await enter(await stage.open(other), 'Zoë');
    await Promise.all([areHere(ada, ['Ada', 'Zoë']), areHere(zoe, ['Ada', 'Zoë'])]);

    await say(ada, 'hello <b>all</b>');
    await isHeard(zoe, 'Ada: hello <b>all</b>');
    await say(zoe, 'hello Ada');
    await isHeard(ada, 'Zoë: hello Ada');
    expect(await items(ada, 'Said')).toEqual(['Ada: hello <b>all</b>', 'Zoë: hello Ada']);
    expect(await ada.getByLabel('Say').inputValue()).toBe('');

    // Another tab of the same person knows her by the cookie, and what was said.
    const again = await stage.open(other);
    await isHeard(again, 'Ada: hello <b>all</b>');
    expect(await items(again, 'Said')).toEqual(await items(zoe, 'Said'));
    await again.close();
    await say(ada, 'one tab less');
    await isHeard(zoe, 'Ada: one tab less');
    await areHere(ada, ['Ada', 'Zoë']);

    await zoe.getByRole('button', { name: 'Leave' }).click();
    await areHere(ada, ['Ada']);
    await zoe.getByLabel('Name').waitFor();
    await enter(zoe, 'ada');
    await until(async () => (await alertOf(zoe)) === 'ada is in the room already', 'the name is taken');
    await enter(zoe, 'a b');
    await until(async () => (await alertOf(zoe)) === 'a name has 1 to 20 letters and digits', 'the name is refused');
  });

  it('has what was said while its network was away, once and in order, and keeps what was not said', async () => {
    const page = await enter(await stage.open(), 'Lin');
    const carol = await robot('Carol');
    await says(page, 'live');
    await areHere(page, ['Lin']);
    await carol.say('before');
    await isHeard(page, 'Carol: before');
    await mark(page);

    stage.line.cut();
    await says(page, AWAY);
    await say(page, 'is there anybody');
    await until(async () => (await alertOf(page)).startsWith('Not said:'), 'the page says that it was not said');
    expect(await page.getByLabel('Say').inputValue()).toBe('is there anybody');
    const meanwhile = Array.from({ length: 30 }, (_, number) => `meanwhile ${number + 1}`);
    for (const text of meanwhile) await carol.say(text);
    expect(await items(page, 'Said')).not.toContain('Carol: meanwhile 1');

    stage.line.mend();
    await isHeard(page, 'Carol: meanwhile 30');
    const said = ['before', ...meanwhile].map((text) => `Carol: ${text}`);
    expect((await items(page, 'Said')).slice(-said.length)).toEqual(said);
    const last = page.getByText('meanwhile 30');
    const isInView = (line: Element): boolean =>
      line.getBoundingClientRect().bottom <= (line.parentElement as Element).getBoundingClientRect().bottom;
    await until(() => last.evaluate(isInView), 'the newest line is in view');
    await page.getByLabel('Say').press('Enter');
    await isHeard(page, 'Lin: is there anybody');
    expect(await alertOf(page)).toBe('');
    await areHere(page, ['Lin']);
    expect(await isMarked(page)).toBe(true);
  });

  it('goes on when the node starts again with its history, and says that something is missing without it', async () => {
    // Who has heard nothing misses nothing.
    await stage.restartNode(() => stage.forgetHistory());
    const page = await enter(await stage.open(), 'Mia');
    const dan = await robot('Dan');
    await says(page, 'live');
    await stage.restartNode(() => stage.forgetHistory());
    await dan.say('first');
    await isHeard(page, 'Dan: first');
    expect(await items(page, 'Said')).toEqual(['Dan: first']);

    stage.line.cut();
    await says(page, AWAY);
    await dan.say('second');
    await stage.restartNode();
    stage.line.mend();
    await isHeard(page, 'Dan: second');
    expect(await items(page, 'Said')).toEqual(['Dan: first', 'Dan: second']);

    await stage.restartNode(() => stage.forgetHistory());
    await dan.say('third');
    await isHeard(page, 'Dan: third');
    const missing = 'Some of what was said is missing here.';
    expect(await items(page, 'Said')).toEqual(['Dan: first', 'Dan: second', missing, 'Dan: third']);
    await areHere(page, ['Mia']);
  });

  it('goes on when the first token is over', async () => {
    const page = await enter(await stage.open(), 'Noor');
    const eli = await robot('Eli');
    await says(page, 'live');
    const over = Date.now() + (TOKEN_SECONDS + 1) * 1_000;
    for (let number = 1; Date.now() < over; number++) {
      await eli.say(`word ${number}`);
      await isHeard(page, `Eli: word ${number}`);
      await areHere(page, ['Noor']);
    }
    await say(page, 'still here');
    await isHeard(page, 'Noor: still here');
  });

  it('shows the door to a page whose person has left in another tab', async () => {
    const [one, other] = [await enter(await stage.open(), 'Uma'), await stage.open()];
    await says(one, 'live');
    await other.reload();
    await says(other, 'live');
    await other.getByRole('button', { name: 'Leave' }).click();
    await one.getByLabel('Name').waitFor();
  });

  it('is for those who entered, and nobody speaks for another', async () => {
    const fay = await robot('Fay');
    expect((await fay.say('I am Ada', 'Ada')).status).toBe(403);
    const page = await enter(await stage.open(), 'Vera');
    await says(page, 'live');
    await say(page, 'a secret');
    await isHeard(page, 'Vera: a secret');

    const redis = await createClient({ url: stage.node.redis }).connect();
    const address = `${stage.node.url}events?topic=rooms/lobby/*&topic=open&last_event_id=earliest`;
    const reader = ((await fetch(address)).body as ReadableStream<Uint8Array>).getReader();
    await redis.publish('open', 'for all').finally(() => redis.destroy());
    let heard = '';
    while (!heard.includes('for all')) heard += Buffer.from((await reader.read()).value ?? []).toString();
    await reader.cancel();
    expect(heard).not.toContain('secret');
  });
});
