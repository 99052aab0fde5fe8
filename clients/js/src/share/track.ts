/**
 * One stream, as a tab has it: from requests of its own if it leads, else from what the leader sends.
 *
 * A follower knows a place up to which it has everything. It takes the leader's blocks once they are
 * complete from that place on. If they begin later, it reads what is between from requests of its own,
 * and keeps the leader's blocks until it has got there. Blocks that it has had are dropped.
 */
import { fits, matches } from '../address.ts';
import { IDLE, type Connection, type ConnectionSink, type Runtime } from '../connection.ts';
import { isWithin } from '../ids.ts';
import { OVERLAP_EVENTS_MAX } from '../overlap.ts';
import { connectOwn } from '../own.ts';
import type { Block } from '../parser.ts';
import { JOINED } from '../subscriptions.ts';
import type { Status } from '../types.ts';
import { createHanded } from './handed.ts';
import { pack, unpack, type Item, type StreamState } from './messages.ts';
import { NOWHERE, placeOf, startOf, type Place } from './places.ts';

export interface TrackHooks {
  /** The leader's stream brought these. */
  send(items: readonly Item[], place: Place): void;
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
  blocks(items: readonly Item[], place: Place): void;
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

export function createTrack(runtime: Runtime, key: string, hooks: TrackHooks): Track {
  const { config } = runtime;
  const isNode = config.server === 'fantail';
  let handed = createHanded(undefined);
  let sink: ConnectionSink | undefined;
  let topics: readonly string[] | undefined;
  /** Everything up to here was handed over. */
  let place = NOWHERE;
  /** The leader's. */
  let known = NOWHERE;
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
  /** From here on the leader may send again what came before. */
  let again = NOWHERE;
  /** The leader's blocks since then, until own requests have got there. */
  let pending: Item[] | undefined;
  const pendingIds = new Set<string>();
  let wasOpen = false;
  /** Blocks that followers have not been sent. */
  let batch: Item[] = [];

  /** Whether this tab has everything up to there. */
  function reaches(goal: string | undefined): boolean {
    return goal !== undefined && (goal === place.cursor || (!!place.safe && isWithin(goal, place.safe)));
  }

  function hand([block, told]: Item, isLive = true): void {
    handed.floor ??= place.safe;
    // Whoever has a place reads what is between by itself.
    if (block.id === undefined && block.data === GAP.data && (place.cursor || !wasOpen)) return;
    const before = handed.take(block, told, isLive);
    if (before) sink?.block(block, before);
  }

  function send(item: Item): void {
    // One message for all that arrives together.
    if (batch.push(item) === 1) queueMicrotask(flush);
  }

  function flush(): void {
    const items = batch;
    batch = [];
    if (items.length) hooks.send(items, here());
  }

  /** Where another request has to begin, so that it misses nothing. */
  function here(): Place {
    const streams = own?.inspect() ?? [];
    if (streams.length > 1) handed.isSplit = true;
    return (place = placeOf(streams, place, isNode));
  }

  function stop(): void {
    flush();
    here();
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

  /** What the leader sends is not known to be complete any longer. */
  function uncover(): void {
    covered = false;
    drop();
  }

  function dial(wanted: readonly string[] | undefined): void {
    // A publisher's own id is known to streams of its topic. The others would be told a gap.
    const { cursor, safe } = place;
    const isKnown = handed.topicsOf(cursor).some((topic) => wanted?.some((each) => matches(each, topic)));
    const from = isKnown && fits(config, wanted ?? []) ? cursor : safe;
    place = { cursor: from, safe };
    handed.expect(place);
    let lost = !from;
    const connection = connectOwn(
      runtime,
      {
        block(block, told) {
          if (own !== connection) return;
          hand([block, told]);
          here();
          if (leading) send([block, told]);
          else catchUp();
        },
        changed() {
          if (own !== connection) return;
          const now = connection.status().state;
          if (now === 'idle') {
            // No tab wants it any longer. Whoever does later begins anew.
            stop();
            begin(undefined);
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
      { from: from ?? config.from, spread: key === JOINED, key: undefined },
    );
    own = connection;
    connection.want(wanted);
  }

  function begin(from: string | undefined): void {
    place = { cursor: from, safe: from };
    known = NOWHERE;
    handed = createHanded(from);
  }

  /** From here on the leader's blocks are all that is needed. */
  function join(items: readonly Item[]): void {
    stop();
    handed.expect(again);
    for (const item of items) hand(item, false);
    place = known;
    sink?.changed();
  }

  function catchUp(): void {
    if (!pending) return;
    // A block that both have had: if the leader sends in order, the rest is in `pending`.
    const isInOrder = start === again.cursor && place.cursor && pendingIds.has(place.cursor);
    if (reaches(start) || isInOrder) join(pending);
  }

  function cover(told: StreamState, first: boolean): void {
    covered = true;
    ({ start, place: again } = told);
    drop();
    // Only what is new is wanted, or the server has no ids.
    if (!place.cursor && (!own || wasOpen)) {
      handed.floor ??= start;
      // The leader tells it when its first request is open.
      if (!first) hand([GAP, []]);
      join([]);
    } else if (reaches(start) || (start && handed.has(start))) join([]);
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
      if (!own || leading) return;
      own.want(wanted);
      // The leader does not read them yet.
      uncover();
    },
    attach(other, from) {
      sink = other;
      if (leading) return;
      stop();
      begin(from);
      covered = wasOpen = false;
    },
    get cursor() {
      return here().cursor;
    },
    get busy() {
      return own !== undefined;
    },
    lead(wanted) {
      if (!leading) {
        stop();
        leading = true;
        // Others may have been further than this tab, which has only begun to listen.
        if (!place.cursor) place = known;
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
    uncover,
    beat(told, isKnown, first) {
      state = told;
      const text = JSON.stringify(told.status);
      if (text !== packed) status = unpack(told.status);
      packed = text;
      known = told.place;
      if (!topics) return;
      if (told.split) handed.isSplit = true;
      if (covered && !pending) place = known;
      const isOpen = topics.every((topic) => told.open.includes(topic));
      // It may begin later, and still before what this tab has by now.
      const isBetter = pending && told.start !== undefined && (start === undefined || reaches(told.start));
      if ((isBetter || !covered) && isKnown && (first || isOpen)) {
        // A leader that repeats something says later where it begins.
        if (first || told.start !== undefined || !place.cursor) cover(told, first);
      }
      if (covered && isOpen && told.since) wasOpen = true;
      sink?.changed();
    },
    blocks(items, last) {
      known = last;
      if (!covered || !topics) return;
      if (!pending) {
        for (const item of items) hand(item);
        place = last;
        return;
      }
      pending.push(...items);
      for (const [{ id }] of items) if (id) pendingIds.add(id);
      // The next beat is another place to begin at.
      if (pending.length > OVERLAP_EVENTS_MAX) uncover();
      else catchUp();
    },
    restart: () => own?.restart(),
    changed: () => sink?.changed(),
    flush,
    state() {
      const streams = own?.inspect() ?? [];
      const all = own?.status() ?? IDLE;
      let since = 0;
      const open = [...new Set(streams.flatMap((stream) => stream.topics))].filter((topic) => {
        const one = own?.status([topic]);
        if (one?.state !== 'open') return false;
        since = one.since;
        return true;
      });
      if (all.state === 'open') since = all.since;
      return {
        status: pack(all),
        open,
        since,
        place: here(),
        start: streams.length ? startOf(streams) : place.cursor,
        split: streams.length > 1,
      };
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
