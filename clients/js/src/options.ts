/**
 * Checks the options of a client once, and gives each its default. The rest of the client reads the
 * checked form only.
 */
import type { ClientOptions, Decoder, From, LogLine } from './types.ts';

type ServerKind = 'fantail' | 'mercure' | 'plain';

/** The checked options. Times are in milliseconds. */
export interface Config {
  url: URL;
  server: ServerKind;
  token: ClientOptions['token'];
  events: Record<string, Decoder<unknown> | undefined>;
  /** First cursor; `undefined` for new events only. */
  from: string | undefined;
  base: number;
  max: number;
  attempts: number;
  idle: number | undefined;
  linger: number;
  pauseHidden: boolean;
  topicsPerStream: number;
  /** Name of what tabs share. */
  share: string | undefined;
  worker: ClientOptions['worker'];
  credentials: RequestCredentials;
  headers: ClientOptions['headers'];
  fetch: typeof fetch;
  native: boolean;
  log: ((line: LogLine) => void) | undefined;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** The host of a relative address where there is no page. */
const NO_PAGE = 'no-page.invalid';

const HUB_PATH = '/.well-known/mercure';

/** Every option, and whether it is known: a misspelt option that is ignored would be a hidden mistake. */
const NAMES =
  'url server token events from retry idle linger hidden share worker topicsPerStream credentials headers fetch transport log'.split(
    ' ',
  );

/** An error that says which option is wrong, and what it may be. */
function wrong(name: string, value: unknown, allowed: string): TypeError {
  return new TypeError(`\`${name}\` is ${String(value)}; it must be ${allowed}`);
}

/** Whether a header can have it. Spaces and line ends around it do not count. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^\s*[!-~]*\s*$/.test(value);
}

/** A whole number within bounds, or the default. */
export function checkNumber<D>(
  name: string,
  value: number | undefined,
  min: number,
  max: number,
  preset: D,
): number | D {
  if (value === undefined) return preset;
  if (value >= min && value <= max && (value === Infinity || Number.isInteger(value))) return value;
  throw wrong(name, value, `a whole number from ${min} to ${max}`);
}

function checkWord<W extends string>(name: string, value: W | undefined, ...words: W[]): W {
  if (value === undefined) return words[0] as W;
  if (words.includes(value)) return value;
  throw wrong(name, value, words.join(' or '));
}

/** A cursor as it is sent; `undefined` sends none. */
export function checkFrom(from: From | undefined): string | undefined {
  if (from === undefined || from === 'now') return undefined;
  if (from && typeof from === 'string' && !/[\0\r\n]/.test(from)) return from;
  throw wrong('from', JSON.stringify(from), '"now", "earliest" or the id of an event');
}

/** The topics without doubles. */
export function checkTopics(topics: string | readonly string[]): string[] {
  const list = typeof topics === 'string' ? [topics] : topics;
  if (Array.isArray(list) && list.every((topic) => topic && typeof topic === 'string')) {
    return [...new Set(list)];
  }
  throw wrong('topics', JSON.stringify(topics), 'a text or a list of texts, none of them empty');
}

function checkUrl(url: string | URL): URL {
  try {
    const page = (globalThis as { location?: Location }).location?.href;
    const checked = new URL(url, page ?? (/^[./]/.test(String(url)) ? `http://${NO_PAGE}` : page));
    // No `fetch` sends a user and a password.
    if (/^https?:$/.test(checked.protocol) && !checked.username && !checked.password) return checked;
  } catch {
    // The error below names it.
  }
  throw wrong('url', url, 'an http or https address, or relative to the page, without a password');
}

/** A server that renders pages makes their clients, too, and uses none of them. */
export function checkPage({ url }: Config): void {
  if (url.host === NO_PAGE) throw wrong('url', url.pathname, 'an http or https address where there is no page');
}

function guessServer({ pathname, search }: URL): ServerKind {
  if (pathname.endsWith(HUB_PATH)) return 'mercure';
  return pathname.endsWith('/') && !search ? 'fantail' : 'plain';
}

export function checkOptions(options: ClientOptions<Record<string, unknown>>): Config {
  for (const name of Object.keys(options)) {
    if (!NAMES.includes(name)) throw new TypeError(`\`${name}\` is no option; there are ${NAMES.join(', ')}`);
  }
  const { retry = {}, token, events = {}, fetch: other } = options;
  const url = checkUrl(options.url);
  const server = checkWord('server', options.server ?? guessServer(url), 'fantail', 'mercure', 'plain');
  // Its calls are below it.
  if (server === 'fantail' && !url.pathname.endsWith('/')) url.pathname += '/';
  const whole = <D>(name: 'idle' | 'linger' | 'topicsPerStream', min: number, max: number, preset: D): number | D =>
    checkNumber(name, options[name], min, max, preset);
  const base = checkNumber('retry.base', retry.base, 1, HOUR, 1_000);
  const native = checkWord('transport', options.transport, 'fetch', 'eventsource') === 'eventsource';
  if (token !== undefined && typeof token !== 'function' && !isToken(token)) {
    // Its text is in no message.
    throw wrong('token', typeof token === 'string' ? 'no ASCII' : token, 'a text or a function');
  }
  // A wrong name would fail with each request.
  if (typeof options.headers !== 'function') new Headers(options.headers);
  if (native && (server === 'plain' || options.headers || other)) {
    throw wrong(
      'transport',
      'eventsource',
      'fetch for a `plain` server, and with `headers` or `fetch`: an EventSource sends no headers',
    );
  }
  const { share, worker, headers } = options;
  if (share !== undefined && share !== false && !(typeof share === 'string' && share && share.length <= 200)) {
    throw wrong('share', share, 'false or a text of 1 to 200 characters that says who the user is');
  }
  if (share && native) throw wrong('transport', 'eventsource', 'fetch with `share`');
  if (worker && (!share || typeof headers === 'function' || other)) {
    throw wrong('worker', worker, 'with `share`, and without `fetch` and a function as `headers`: a worker cannot call them');
  }
  return {
    url,
    server,
    token: typeof token === 'string' ? token.trim() : token,
    events,
    from: checkFrom(options.from),
    base,
    max: checkNumber('retry.max', retry.max, base, DAY, Math.max(30_000, base)),
    attempts: checkNumber('retry.attempts', retry.attempts, 1, Infinity, Infinity),
    idle: whole('idle', 1_000, DAY, undefined),
    linger: whole('linger', 0, HOUR, 1_000),
    pauseHidden: checkWord('hidden', options.hidden, 'keep', 'pause') === 'pause',
    topicsPerStream: whole('topicsPerStream', 1, 1_000, 100),
    share: share || undefined,
    worker,
    credentials: checkWord('credentials', options.credentials, 'same-origin', 'include', 'omit'),
    headers,
    fetch: other ?? ((input, init) => fetch(input, init)),
    native,
    log: options.log,
  };
}
