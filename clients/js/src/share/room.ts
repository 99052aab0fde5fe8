/**
 * The tabs that share streams and a token, as one of them sees it: who wants what, who leads, and
 * whether the leader is alive. How messages get about, and who may lead, is the link's business.
 */
import type { ConnectionSink, ConnectOptions, Connection, Runtime } from '../connection.ts';
import { connectOwn } from '../own.ts';
import type { PageSignal } from '../page.ts';
import type { TokenReason } from '../types.ts';
import type { Answer, Members, Message, Wants } from './messages.ts';
import { createTrack, type Track } from './track.ts';

/** Time between two signs of life of the leader. */
export const BEAT_MS = 2_000;

/** Time between two looks at the clock. */
const TICK_MS = 1_000;

/** Silence after which the leader is asked, because a hidden page has a timer a minute. */
const ASK_MS = 3_000;

/** Silence after which the leader counts as dead. */
export const DEAD_MS = 6_000;

export type TokenSource = (why: TokenReason, signal: AbortSignal) => Promise<string | null> | string | null;

/** Between the tabs. `open` and `close` come in turn. */
export interface Link {
  open(id: string): void;
  close(): void;
  post(message: Message): void;
  /** The leader is dead, or does not run. */
  replace(): void;
  /** Another tab leads, as it says, although this one may. */
  resign(): void;
  /** A tab left, or is gone. */
  gone?(id: string): void;
}

export interface Room {
  connect(sink: ConnectionSink, options: ConnectOptions): Connection;
  /** The token of the leader. */
  token(why: TokenReason, signal: AbortSignal): Promise<string | null>;
  /** The session is another one, in all tabs. */
  reset(): void;
  close(): void;
  hear(message: Message): void;
  /** This tab leads from now on. A worker, which wants nothing, gives itself an id. */
  lead(as?: string): void;
  /** This tab leads no longer. */
  demote(): void;
  /** There is no leader: this tab reads for itself until there is one. */
  alone(why: unknown): void;
}

interface Ask {
  readonly number: number;
  readonly why: TokenReason;
  readonly signal: AbortSignal;
  /** The leader that was asked. */
  term?: number;
  resolve(token: Promise<string | null> | string | null): void;
  reject(error: Error): void;
}

export function createRoom(runtime: Runtime, source: TokenSource, link: Link): Room {
  const { config, page } = runtime;
  const tracks = new Map<string, Track>();
  let members: Members = {};
  /** Another one each time that this tab comes. */
  let id = '';
  let revision = 0;
  let leading = false;
  let isAlone = false;
  /** Rises with each leader. */
  let term = 0;
  /** Time of the leader's last sign of life. */
  let heardAt = 0;
  let tickedAt = 0;
  /** Time of this tab's own last one. */
  let beatAt = 0;
  let timer: ReturnType<typeof setInterval> | undefined;
  let beatDue = false;
  let ask: Ask | undefined;
  let asks = 0;
  /** The last token that a leader gave. */
  let given: string | null | undefined;
  /** Lets go of the lock that says that this tab is there. The link is open meanwhile. */
  let vanish: (() => void) | undefined;
  /** The session became another one before the others could be told. */
  let resetDue = false;
  /** Ends waiting for other tabs to be gone. */
  let watching = new AbortController();
  let unlisten: (() => void) | undefined;

  const away = (): boolean => page.away(config.pauseHidden);
  const say = (detail: unknown): void => runtime.log(0, 'share', detail);

  function trackOf(key: string): Track {
    let track = tracks.get(key);
    if (!track) {
      const send: Parameters<typeof createTrack>[2]['send'] = (items, place) => {
        if (leading && Object.keys(members).some((member) => member !== id)) link.post({ kind: 'blocks', term, key, items, place });
      };
      tracks.set(key, (track = createTrack(runtime, key, { send, changed: beatSoon, away })));
    }
    return track;
  }

  /** What this tab wants. */
  function wants(): Wants {
    return Object.fromEntries([...tracks].flatMap(([key, { topics }]) => (topics ? [[key, topics]] : [])));
  }

  const needed = (): boolean => ask !== undefined || [...tracks.values()].some(({ topics }) => topics);

  /** Something else is needed than before. */
  function update(): void {
    if (!needed()) {
      leave();
      unlisten?.();
      unlisten = undefined;
      return;
    }
    unlisten ??= page.listen(onPage);
    revision++;
    if (!id) return enter();
    note();
    if (leading) serve();
    else hello();
  }

  function note(): void {
    members = { ...members, [id]: { revision, wants: wants() } };
  }

  function hello(): void {
    link.post({ kind: 'hello', id, revision, wants: wants() });
  }

  function enter(): void {
    if (id || away() || !needed()) return;
    const own = (id = crypto.randomUUID());
    heardAt = tickedAt = Date.now();
    timer = setInterval(tick, TICK_MS);
    note();
    // It is let go when the tab is gone, however it went: the leader waits for that.
    navigator.locks
      .request(lockOf(own), () => {
        if (id !== own) return undefined;
        const held = new Promise<void>((resolve) => (vanish = resolve));
        link.open(own);
        if (resetDue) link.post({ kind: 'reset' });
        resetDue = false;
        hello();
        return held;
      })
      .catch((error: unknown) => alone(error));
  }

  function leave(): void {
    if (!id) return;
    link.post({ kind: 'bye', id });
    id = '';
    clearInterval(timer);
    leading = isAlone = false;
    members = {};
    watching.abort();
    for (const track of tracks.values()) track.stop();
    link.close();
    vanish?.();
    vanish = undefined;
  }

  function onPage(signal: PageSignal): void {
    if (away()) leave();
    else if (!id) enter();
    else if (signal !== 'offline') tick();
    for (const track of tracks.values()) track.changed();
  }

  function tick(): void {
    const now = Date.now();
    // A computer that slept, or a page that did not run, has heard nobody.
    if (now - tickedAt > 2 * BEAT_MS || now < tickedAt) heardAt = Math.max(heardAt, now - ASK_MS);
    tickedAt = now;
    if (leading) {
      if (now - beatAt >= BEAT_MS || now < beatAt) beat(false);
      return;
    }
    const silence = now - heardAt;
    if (silence >= DEAD_MS && !isAlone && (ask || !page.away(true))) {
      heardAt = now;
      say('the leader is silent');
      link.replace();
    } else if (silence >= ASK_MS) link.post({ kind: 'ping' });
  }

  /** Forgets a tab as soon as it is gone. */
  function watch(member: string): void {
    if (member === id) return;
    const { signal } = watching;
    navigator.locks.request(lockOf(member), { signal }, () => forget(member)).catch(() => {});
  }

  function forget(member: string): void {
    if (!(member in members)) return;
    const { [member]: _, ...rest } = members;
    members = rest;
    link.gone?.(member);
    if (leading) serve();
  }

  /** Opens what all tabs want, and says so. */
  function serve(): void {
    const all = new Map<string, Set<string>>();
    for (const { wants: theirs } of Object.values(members)) {
      for (const [key, topics] of Object.entries(theirs)) {
        const union = all.get(key) ?? new Set();
        topics.forEach((topic) => union.add(topic));
        all.set(key, union);
      }
    }
    for (const key of all.keys()) trackOf(key);
    for (const [key, track] of tracks) {
      const union = all.get(key);
      if (union || track.busy) track.lead(union && [...union]);
    }
    beatSoon();
  }

  function beatSoon(): void {
    if (beatDue || !leading) return;
    beatDue = true;
    queueMicrotask(() => {
      beatDue = false;
      beat(false);
    });
  }

  function beat(first: boolean): void {
    if (!leading) return;
    beatAt = Date.now();
    for (const track of tracks.values()) track.flush();
    const streams = Object.fromEntries([...tracks].map(([key, track]) => [key, track.state()]));
    link.post({ kind: 'beat', term, first, members, streams });
  }

  function answer(): void {
    if (!ask) return;
    const { why, signal, resolve } = ask;
    resolve(Promise.resolve(source(why, signal)));
  }

  async function give(member: string, number: number, refused: string | null | undefined): Promise<void> {
    const { tokens } = runtime;
    if (refused !== undefined) tokens.refused(refused);
    const base = { kind: 'token', id: member, number } as const;
    link.post(
      await tokens.get().then(
        (token): Answer => ({ ...base, token }),
        (error: Error): Answer => ({ ...base, error: error.message }),
      ),
    );
  }

  /** A sign of life of a leader. Returns whether it is the one that counts. */
  function follow(other: number): boolean {
    if (other < term || (leading && other === term)) return false;
    heardAt = Date.now();
    isAlone = false;
    if (other === term) return true;
    if (leading) {
      demote();
      link.resign();
    }
    term = other;
    for (const track of tracks.values()) track.uncover();
    return true;
  }

  function hear(message: Message): void {
    if (!id) return;
    switch (message.kind) {
      case 'beat': {
        if (!follow(message.term)) return;
        const mine = message.members[id];
        const known = mine?.revision === revision;
        members = message.members;
        note();
        if (!mine) for (const track of tracks.values()) track.uncover();
        if (!known) hello();
        for (const [key, state] of Object.entries(message.streams)) trackOf(key).beat(state, known, message.first);
        if (ask && ask.term !== term) {
          ask.term = term;
          link.post({ kind: 'ask', id, number: ask.number, refused: ask.why === 'refused' ? given : undefined });
        }
        return;
      }
      case 'blocks':
        if (follow(message.term)) trackOf(message.key).blocks(message.items, message.place);
        return;
      case 'hello': {
        const { id: member, revision: theirs, wants: topics } = message;
        const isNew = !(member in members);
        members = { ...members, [member]: { revision: theirs, wants: topics } };
        if (!leading) return;
        if (isNew) watch(member);
        return serve();
      }
      case 'bye':
        return forget(message.id);
      case 'ping':
        return beat(false);
      case 'ask':
        if (leading) void give(message.id, message.number, message.refused);
        return;
      case 'token':
        if (message.id !== id || message.number !== ask?.number) return;
        if (message.error !== undefined) return ask.reject(new Error(message.error));
        given = message.token;
        return ask.resolve(message.token ?? null);
      case 'reset':
        runtime.tokens.reset();
        if (leading || isAlone) for (const track of tracks.values()) track.restart();
    }
  }

  function lead(as?: string): void {
    if (as) {
      id = as;
      timer = setInterval(tick, TICK_MS);
    }
    leading = true;
    isAlone = false;
    term = Math.max(term + 1, Date.now() + Math.random());
    watching = new AbortController();
    say('leader');
    Object.keys(members).forEach(watch);
    serve();
    beat(true);
    answer();
  }

  function demote(): void {
    if (!leading) return;
    leading = false;
    watching.abort();
    say('follower');
    heardAt = Date.now();
    for (const track of tracks.values()) track.stop();
  }

  function alone(why: unknown): void {
    if (!id) return;
    isAlone = true;
    say(`own stream: ${String(why)}`);
    for (const track of tracks.values()) track.alone();
    answer();
  }

  function connect(sink: ConnectionSink, { key, from, spread }: ConnectOptions): Connection {
    const track = trackOf(key as string);
    // The stream is under way already, for other tabs.
    if (track.busy && from !== undefined) return connectOwn(runtime, sink, { key, from, spread });
    track.attach(sink, from);
    let linger: ReturnType<typeof setTimeout> | undefined;
    let ended = false;

    function end(): void {
      clearTimeout(linger);
      linger = undefined;
      if (!track.topics) return;
      track.topics = undefined;
      track.attach(undefined);
      update();
      sink.changed();
    }

    return {
      want(topics) {
        if (ended) return;
        clearTimeout(linger);
        linger = undefined;
        if (!topics) linger = setTimeout(end, config.linger);
        else if (topics.join('\n') !== track.topics?.join('\n') || !topics.length) {
          track.topics = topics;
          update();
        }
        sink.changed();
      },
      status: (topics) => track.status(topics),
      cursor: () => track.cursor,
      // `reset` does it, for all tabs.
      restart() {},
      namesChanged() {},
      close() {
        if (ended) return;
        ended = true;
        end();
      },
      inspect: () => track.inspect(),
    };
  }

  return {
    connect,
    token(why, signal) {
      if (leading || isAlone) return Promise.resolve(source(why, signal));
      let own: Ask | undefined;
      const done = (): void => {
        if (ask !== own) return;
        ask = undefined;
        if (!needed()) update();
      };
      return new Promise<string | null>((resolve, reject) => {
        ask = own = { number: ++asks, why, signal, resolve, reject };
        signal.addEventListener('abort', () => reject(signal.reason as Error));
        if (id) link.post({ kind: 'ping' });
        else update();
      }).finally(done);
    },
    reset() {
      if (vanish) link.post({ kind: 'reset' });
      else resetDue = true;
      if (leading || isAlone) for (const track of tracks.values()) track.restart();
    },
    close() {
      for (const track of tracks.values()) track.topics = undefined;
      ask?.reject(new Error('the client was closed'));
      ask = undefined;
      update();
    },
    hear,
    lead,
    demote,
    alone,
  };
}

/** Name of the lock that a tab has for as long as it is there. */
function lockOf(id: string): string {
  return `fantail tab ${id}`;
}
