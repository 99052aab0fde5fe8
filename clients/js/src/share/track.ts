/**
 * One stream, as a tab has it: from requests of its own if it leads, else from what the leader sends.
 *
 * A follower knows a place up to which it has everything, its `cursor`. It takes the leader's blocks once
 * they are complete from that place on. If they begin later, it reads what is between from a request of
 * its own, and keeps the leader's blocks until it has got there. Blocks that it has had are dropped.
 */
import { IDLE, type Connection, type ConnectionSink, type Runtime } from '../connection.ts';
import { isWithin } from '../ids.ts';
import { createOverlap, OVERLAP_EVENTS_MAX } from '../overlap.ts';
import { connectOwn } from '../own.ts';
import type { Block } from '../parser.ts';
import { JOINED } from '../subscriptions.ts';
import type { Status } from '../types.ts';
import { pack, unpack, type Item, type StreamState } from './messages.ts';

export interface TrackHooks {
  /** The leader's stream brought these. */
  send(items: readonly Item[], cursor: string | undefined): void;
  /** The state of a request is another one. */
  changed(): void;
  /** The page is away: nothing is to be opened. */
  away(): boolean;
}

export interface Track {
  /** Topics that this tab wants; `undefined` for none. */
  topics: readonly string[] | undefined;
  /** Somebody in this tab listens from now on, or no longer. */
  attach(sink: ConnectionSink | undefined, from?: string): void;
  readonly cursor: string | undefined;
  /** This tab has requests for it. */
  readonly busy: boolean;
  /** This tab leads: it opens what all tabs want. */
  lead(topics: readonly string[] | undefined): void;
  /** The leader is silent: this tab reads for itself. */
  alone(): void;
  /** Ends all requests. What comes next has to begin at the cursor. */
  stop(): void;
  /** Another leader: what it sends may begin elsewhere. */
  uncover(): void;
  /** What the leader says of the stream. `known`: it knows what this tab wants. */
  beat(state: StreamState, known: boolean, first: boolean): void;
  blocks(items: readonly Item[], cursor: string | undefined): void;
  restart(): void;
  /** The page is away, or back. */
  changed(): void;
  /** Sends what waits. */
  flush(): void;
  /** The stream, for a beat. */
  state(): StreamState;
  status(topics?: readonly string[]): Status;
  inspect: Connection['inspect'];
}

const CONNECTING: Status = { state: 'connecting', attempt: 1 };

const HIDDEN: Status = { state: 'waiting', attempt: 1, at: Infinity, why: 'hidden' };

/** A stream without ids was between two requests. */
const GAP: Block = { event: 'gap', data: '{"from":"","to":"","reason":"unknown"}', topics: [] };

/** The cursor of several streams is that of the one that is behind. */
function cursorOf(connection: Connection): string | undefined {
  return connection
    .inspect()
    .map(({ cursor }) => cursor)
    .reduce((last, cursor) => (!last || (cursor && isWithin(cursor, last)) ? cursor : last), undefined);
}

export function createTrack(runtime: Runtime, key: string, hooks: TrackHooks): Track {
  const overlap = createOverlap();
  let sink: ConnectionSink | undefined;
  let topics: readonly string[] | undefined;
  /** Everything up to here was handed to the sink. */
  let cursor: string | undefined;
  /** The place at which this tab began. What is before it may come again, and was not asked for. */
  let floor: string | undefined;
  /** The leader's. */
  let known: string | undefined;
  let state: StreamState | undefined;
  /** `state.status`, unpacked once, so that it is the same until it changes. */
  let status: Status = CONNECTING;
  let packed = '';
  let own: Connection | undefined;
  let leading = false;
  /** What the leader sends is complete from some place on. */
  let covered = false;
  /** That place. */
  let start: string | undefined;
  /** What comes after this one may have come before. */
  let again: string | undefined;
  /** The leader's blocks after it, until an own request has got there. */
  let pending: Item[] | undefined;
  const pendingIds = new Set<string>();
  /** Where what is expected to come again begins. */
  let mark: string | undefined;
  /** Blocks that were handed over, oldest first. */
  let recent: Block[] = [];
  let wasOpen = false;
  /** Blocks that followers have not been sent. */
  let batch: Item[] = [];

  /** Whether `cursor` is at this place or beyond. */
  function reaches(place: string | undefined): boolean {
    return place === cursor || (!!place && !!cursor && isWithin(place, cursor));
  }

  /** Number of the blocks up to the last one of which this holds. */
  function upTo(test: (id: string) => boolean): number {
    let count = recent.length;
    while (count && !test(recent[count - 1]?.id as string)) count--;
    return count;
  }

  /** What begins at this place repeats what is known of it. */
  function expect(place: string | undefined): void {
    mark = place;
    const count = place && (upTo((id) => id === place) || upTo((id) => isWithin(id, place)));
    overlap.expect(place ? recent.slice(count as number) : []);
  }

  /** `isLive`: it has not waited, so a heartbeat is news. */
  function hand([block, told]: Item, isLive = true): void {
    floor ??= cursor;
    const isOld = block.data !== undefined && block.id && floor && isWithin(block.id, floor);
    // Whoever has a cursor reads what is between by itself.
    const isGap = block.id === undefined && block.data === GAP.data;
    if (isOld || (isGap && (cursor || !wasOpen))) return;
    let before: readonly string[] | 'all' = [];
    const { id, data } = block;
    if (data !== undefined) before = overlap.take(block);
    // A heartbeat from beyond all that is known: nothing is left to repeat. A prime is not beyond it.
    const isNews =
      data !== undefined || (isLive && !!id && !(mark && isWithin(id, mark)) && !upTo((other) => isWithin(id, other)));
    if (data === undefined && isNews) overlap.caughtUp();
    // A request with more topics begins before what is known of the others.
    if (block.id !== undefined && !(cursor && isWithin(block.id, cursor))) cursor = block.id || undefined;
    if (before === 'all') return;
    if (id && isNews) recent.push(data === undefined ? block : { id, data: '', topics: block.topics });
    if (recent.length > 2 * OVERLAP_EVENTS_MAX) recent = recent.slice(OVERLAP_EVENTS_MAX);
    sink?.block(block, [...told, ...before]);
  }

  function send(item: Item): void {
    // One message for all that arrives together.
    if (batch.push(item) === 1) queueMicrotask(flush);
  }

  function flush(): void {
    const items = batch;
    batch = [];
    if (items.length) hooks.send(items, place());
  }

  /** Where another request has to begin, so that none of these streams misses anything. */
  function place(): string | undefined {
    return (own && own.inspect().length > 1 && cursorOf(own)) || cursor;
  }

  function stop(): void {
    flush();
    cursor = place();
    const ending = own;
    own = undefined;
    leading = false;
    drop();
    ending?.close();
  }

  function drop(): void {
    pending = undefined;
    pendingIds.clear();
  }

  function dial(wanted: readonly string[] | undefined): void {
    expect(cursor);
    let lost = !cursor;
    const connection = connectOwn(
      runtime,
      {
        block(block, told) {
          if (own !== connection) return;
          hand([block, told]);
          if (leading) send([block, told]);
          else catchUp();
        },
        changed() {
          if (own !== connection) return;
          const now = connection.status().state;
          if (now === 'idle') {
            // No tab wants it any longer. Whoever does later begins anew.
            stop();
            cursor = known = undefined;
            recent = [];
          } else if (now === 'open') {
            if (lost) {
              hand([GAP, []]);
              if (leading) send([GAP, []]);
            }
            lost = false;
            wasOpen = true;
          }
          hooks.changed();
          sink?.changed();
        },
      },
      { from: cursor ?? runtime.config.from, spread: key === JOINED, key: undefined },
    );
    own = connection;
    connection.want(wanted);
  }

  /** From here on the leader's blocks are all that is needed. */
  function join(items: readonly Item[]): void {
    stop();
    expect(again ?? start);
    for (const item of items) hand(item, false);
    cursor = known;
    sink?.changed();
  }

  function catchUp(): void {
    if (!pending) return;
    cursor = place();
    start ??= pending.find(([{ id }]) => id)?.[0].id;
    if ((start && reaches(start)) || (cursor && pendingIds.has(cursor))) join(pending);
  }

  function cover(first: boolean): void {
    covered = true;
    start = known;
    again = state?.again;
    // Only what is new is wanted, or the server has no ids.
    if (!cursor && !own) {
      // The leader tells it when its first request is open.
      if (!first) hand([GAP, []]);
      join([]);
    } else if (reaches(start) || recent.some(({ id }) => id === start)) join([]);
    else {
      pending = [];
      if (!own) dial(topics);
    }
  }

  return {
    get topics() {
      return topics;
    },
    set topics(wanted) {
      topics = wanted;
      if (own && !leading) own.want(wanted);
    },
    attach(other, from) {
      sink = other;
      if (leading) return;
      stop();
      cursor = floor = from;
      recent = [];
      covered = wasOpen = false;
    },
    get cursor() {
      return place();
    },
    get busy() {
      return own !== undefined;
    },
    lead(wanted) {
      if (!leading) {
        stop();
        leading = true;
        // Others may have been further than this tab, which has only begun to listen.
        cursor ??= known;
        dial(wanted);
      } else own?.want(wanted);
    },
    alone() {
      covered = false;
      if (topics && !own) dial(topics);
    },
    stop() {
      stop();
      covered = false;
    },
    uncover() {
      covered = false;
      drop();
    },
    beat(told, isKnown, first) {
      state = told;
      const text = JSON.stringify(told.status);
      if (text !== packed) status = unpack(told.status);
      packed = text;
      known = told.cursor;
      if (!topics) return;
      if (covered && !pending) cursor = known;
      const isOpen = topics.every((topic) => told.open.includes(topic));
      if (!covered && isKnown && (first || isOpen)) cover(first);
      if (covered && isOpen && told.since) wasOpen = true;
      sink?.changed();
    },
    blocks(items, last) {
      known = last;
      if (!covered || !topics) return;
      if (!pending) {
        for (const item of items) hand(item);
        cursor = last;
        return;
      }
      pending.push(...items);
      for (const [{ id }] of items) if (id) pendingIds.add(id);
      // The next beat is another place to begin at.
      if (pending.length > OVERLAP_EVENTS_MAX) {
        covered = false;
        drop();
      } else catchUp();
    },
    restart: () => own?.restart(),
    changed: () => sink?.changed(),
    flush,
    state() {
      const all = own?.status() ?? IDLE;
      let since = 0;
      const wanted = new Set(own?.inspect().flatMap((stream) => stream.topics));
      const open = [...wanted].filter((topic) => {
        const one = own?.status([topic]);
        if (one?.state !== 'open') return false;
        since = one.since;
        return true;
      });
      if (all.state === 'open') since = all.since;
      return { status: pack(all), open, since, cursor: place(), again: (own && cursorOf(own)) ?? cursor };
    },
    status(some = topics) {
      if (!topics) return IDLE;
      if (own) {
        const now = own.status(some);
        return now.state === 'open' && leading ? { ...now, role: 'leader' } : now;
      }
      if (hooks.away()) return HIDDEN;
      if (!state) return CONNECTING;
      const isOpen = (some as readonly string[]).every((topic) => state?.open.includes(topic));
      if (covered && isOpen && state.since) return { state: 'open', since: state.since, role: 'follower' };
      return status.state === 'open' || status.state === 'idle' ? CONNECTING : status;
    },
    inspect: () => own?.inspect() ?? [],
  };
}
