import type { Page } from 'playwright-core';
import { createClient } from 'redis';
import { afterEach, describe, expect, it } from 'vitest';
import { KINDS, type Browser } from '../../clients/js/browser/support/browsers.ts';
import { isMarked, mark, says, shows } from './support/pages.ts';
import { useStage, type Stage } from './support/stage.ts';
import { until } from './support/until.ts';

const press = (page: Page, name: string): Promise<void> => page.getByRole('button', { name }).click();

/** The texts of a page, the newest first. */
const textsOf = async (page: Page): Promise<string[]> =>
  (await page.getByRole('listitem').allInnerTexts()).map((text) => text.replace(/ from \w+ to .*/, ''));

const isSignedOut = (page: Page): Promise<unknown> => page.getByLabel('Password').waitFor();

async function send(page: Page, to: string, text: string): Promise<void> {
  await page.getByLabel('To').selectOption(to);
  await page.getByLabel('Text', { exact: true }).fill(text);
  await press(page, 'Send');
  // It is empty when the server has taken it.
  await until(async () => (await page.getByLabel('Text', { exact: true }).inputValue()) === '', `"${text}" is sent`);
}

/** Requests that a page makes to a path. */
function requestsOf(page: Page, path: string): () => number {
  let count = 0;
  page.on('request', (request) => void (new URL(request.url()).pathname === path && count++));
  return () => count;
}

/** People at the pages of a stage. Each test begins with nobody signed in. */
function usePeople(stage: Stage) {
  const pages: Page[] = [];

  // The next test begins with nobody signed in.
  afterEach(async () => {
    for (const page of pages.splice(0)) {
      await page.context().clearCookies();
      await page.close();
    }
  });

  async function open(browser?: Browser): Promise<Page> {
    const page = await stage.open(browser);
    pages.push(page);
    return page;
  }

  async function signIn(page: Page, user: string, password = user): Promise<void> {
    await page.getByLabel('User').fill(user);
    await page.getByLabel('Password').fill(password);
    await press(page, 'Sign in');
  }

  async function openAs(user: string, browser?: Browser): Promise<Page> {
    const page = await open(browser);
    await signIn(page, user);
    await shows(page, 'user', user);
    await says(page, 'live');
    return page;
  }

  /** Streams that hear what is for this user alone. */
  async function streamsOf(user: string): Promise<number> {
    const redis = await createClient({ url: stage.node.redis }).connect();
    const { [`notifications/user/${user}`]: count } = await redis.pubSubNumSub([`notifications/user/${user}`]);
    await redis.close();
    return Number(count);
  }

  return { open, signIn, openAs, streamsOf };
}

describe.each(KINDS)('notifications in %s', (kind) => {
  const stage = useStage('notifications', kind, { environment: { TOKEN_SECONDS: '3600' } });
  const { open, signIn, openAs, streamsOf } = usePeople(stage);

  it('lets nobody in with a wrong password', async () => {
    const page = await open();
    await signIn(page, 'ada', 'bo');
    await until(async () => (await page.getByRole('alert').innerText()) === 'no such user and password', 'the page says so');
  });

  it('shows each what is for the user and the roles, and nothing else', async () => {
    const ada = await openAs('ada');
    const bo = await openAs('bo', await stage.another());
    const cy = await openAs('cy', await stage.another());
    await send(ada, 'role/editor', 'for editors');
    await send(bo, 'user/cy', 'for cy');
    await send(ada, 'role/support', 'for support');
    await send(cy, 'user/ada', 'for ada');
    // What was sent last comes last: whoever has it would have had the others.
    const expected = [[ada, ['for ada', 'for editors']], [bo, ['for editors']], [cy, ['for support', 'for cy']]] as const;
    for (const [page, texts] of expected) {
      await until(async () => (await textsOf(page)).length >= texts.length, 'all have come');
      expect(await textsOf(page)).toEqual(texts);
    }

    await bo.getByLabel('To').selectOption('role/editor');
    await bo.getByLabel('Text', { exact: true }).fill('from bo');
    await press(bo, 'Send');
    await until(async () => (await bo.getByRole('alert').innerText()) === 'only admins write to roles', 'bo may not');
  });

  it('lets no page hear what is for another user, whatever it asks for', async () => {
    const ada = await openAs('ada');
    const bo = await openAs('bo', await stage.another());
    const heard = bo.evaluate(async (node) => {
      const body = JSON.stringify({ user: 'bo' });
      const headers = { 'Content-Type': 'application/json' };
      const token = await (await fetch('/api/token', { method: 'POST', headers, body })).text();
      const topics = ['user/ada', 'role/admin', 'user/bo'].map((topic) => `topic=notifications/${topic}`).join('&');
      const stream = await fetch(`${node}events?${topics}`, { headers: { Authorization: `Bearer ${token}` } });
      document.title = 'listening';
      const reader = (stream.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      let text = '';
      while (!text.includes('the last one')) text += decoder.decode((await reader.read()).value, { stream: true });
      await reader.cancel();
      return text;
    }, stage.line.url);
    await until(async () => (await bo.title()) === 'listening', 'the stream is open');
    await send(ada, 'user/ada', 'for ada alone');
    await send(ada, 'role/admin', 'for admins');
    await send(ada, 'user/bo', 'the last one');
    expect(await heard).not.toMatch(/for ada alone|for admins/);
  });

  it('ends the stream of all tabs at once when the user signs out', async () => {
    const first = await openAs('ada');
    const other = await open();
    await says(other, 'live');
    const bo = await openAs('bo', await stage.another());
    await press(other, 'Sign out');
    await Promise.all([first, other].map(isSignedOut));
    await until(async () => (await streamsOf('ada')) === 0, 'nobody hears what is for ada');
    await send(bo, 'user/ada', 'while ada is away');
    for (const page of [first, other]) expect(await page.getByRole('listitem').count()).toBe(0);

    // What came meanwhile is there after the next sign-in.
    await signIn(first, 'ada');
    await says(first, 'live');
    await until(async () => (await textsOf(first))[0] === 'while ada is away', 'it is loaded');
  });

  it('shows a user nothing of the one who was signed in before', async () => {
    const page = await openAs('cy');
    await press(page, 'Sign out');
    await isSignedOut(page);
    await signIn(page, 'bo');
    await shows(page, 'user', 'bo');
    await says(page, 'live');
    const ada = await openAs('ada', await stage.another());
    await send(ada, 'role/support', 'not for bo');
    await send(ada, 'user/bo', 'for bo');
    await until(async () => (await textsOf(page))[0] === 'for bo', 'what is for bo has come');
    expect(await textsOf(page)).not.toContain('not for bo');
  });

  it('loads what was published while the node was not there', async () => {
    const page = await openAs('ada');
    const bo = await openAs('bo', await stage.another());
    stage.line.cut();
    await says(page, 'not up to date');
    await send(bo, 'user/ada', 'over a broken line');
    stage.line.mend();
    await until(async () => (await textsOf(page))[0] === 'over a broken line', 'it has come');
    await stage.restartNode(async () => {
      await bo.getByLabel('Text', { exact: true }).fill('to nobody');
      await press(bo, 'Send');
      await until(async () => (await bo.getByRole('alert').innerText()) === 'not sent; try again', 'bo is told');
    });
    await press(bo, 'Send');
    await until(async () => (await textsOf(page))[0] === 'to nobody', 'it is sent again');
    expect((await textsOf(page)).filter((text) => text === 'to nobody')).toEqual(['to nobody']);
  });
});

describe.each(KINDS)('notifications in %s, while tokens live for four seconds', (kind) => {
  const stage = useStage('notifications', kind, { environment: { TOKEN_SECONDS: '4' } });
  const { open, openAs, streamsOf } = usePeople(stage);

  it('shares one stream and one token among the tabs of a user, and loses nothing while tokens end', async () => {
    const bo = await openAs('bo', await stage.another());
    const tabs = [await openAs('ada'), await open(), await open()];
    await Promise.all(tabs.map((tab) => says(tab, 'live')));
    await Promise.all(tabs.map(mark));
    const tokens = tabs.map((tab) => requestsOf(tab, '/api/token'));
    const loads = tabs.map((tab) => requestsOf(tab, '/api/notifications'));
    // There are two for the moment in which a stream with a new token replaces the last one.
    const isOneStream = () => until(async () => (await streamsOf('ada')) === 1, 'there is one stream');
    const sum = (counts: (() => number)[]): number => counts.reduce((all, count) => all + count(), 0);
    await isOneStream();

    const sent: string[] = [];
    while (sum(tokens) < 3) {
      sent.unshift(`number ${sent.length}`);
      await send(bo, 'user/ada', sent[0] as string);
    }
    for (const tab of tabs) {
      await until(async () => (await textsOf(tab))[0] === sent[0], 'the last one has come');
      expect((await textsOf(tab)).slice(0, sent.length)).toEqual(sent);
      expect(await isMarked(tab)).toBe(true);
    }
    // All of it came by the stream.
    expect(sum(loads)).toBe(0);
    await isOneStream();
  });
});
