/**
 * One stream, as a tab has it: from requests of its own if it leads, else from what the leader sends.
 *
 * A follower knows a place up to which it has everything. It takes the leader's blocks once they are
 * complete from that place on. If they begin later, it reads what is between from requests of its own,
 * and keeps the leader's blocks until it has got there. Blocks that it has had are dropped.
 */
import { fits, matches } from '../address.ts';
import { IDLE, type Connection, type ConnectionSink, type Runtime } from '../connection.ts';
import { connectOwn } from '../own.ts';
import type { Block } from '../parser.ts';
import { JOINED } from '../subscriptions.ts';
import type { Status } from '../types.ts';
import { createCover, reaches } from './cover.ts';
import { createHanded } from './handed.ts';
import type { Item, StreamState } from './messages.ts';
import { NOWHERE, placeOf, type Place } from './places.ts';
import { reportOf, unpack } from './report.ts';

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
  const cover = createCover();
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
  /** Requests of this tab. */
  let own: Connection | undefined;
  let leading = false;
  let wasOpen = false;
  /** Blocks that followers have not been sent. */
  let batch: Item[] = [];

  /** Other tabs want other topics of the same stream. What they had is not what this one has had. */
  function isMine({ topics: of }: Block): boolean {
    return key !== JOINED || !of.length || of.some((topic) => topics?.some((each) => matches(each, topic)));
  }

  function hand([block, told]: Item): void {
    handed.floor ??= place.safe;
    if (!isMine(block)) return;
    // Whoever has a place reads what is between by itself.
    if (block.id === undefined && block.data === GAP.data && (place.cursor || !wasOpen)) return;
    const before = handed.take(block, told);
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
    return (place = placeOf(streams, place, config.server === 'fantail'));
  }

  /** Ends all requests. */
  function halt(): void {
    flush();
    here();
    const ending = own;
    own = undefined;
    leading = false;
    ending?.close();
  }

  function stop(): void {
    halt();
    cover.end();
  }

  function begin(from: string | undefined): void {
    place = { cursor: from, safe: from };
    known = NOWHERE;
    handed = createHanded(from);
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
          else if (cover.isReached(place)) join();
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

  /** From here on the leader's blocks are all that is needed. */
  function join(): void {
    const items = cover.join();
    halt();
    handed.expect(cover.again);
    for (const item of items) hand(item);
    place = known;
    sink?.changed();
  }

  /** The leader's blocks begin there, and are complete from then on. */
  function follow(told: StreamState, first: boolean): void {
    cover.begin(told);
    // Only what is new is wanted, or the server has no ids.
    if (!place.cursor && (!own || wasOpen)) {
      handed.floor ??= cover.floor;
      // The leader tells it when its first request is open.
      if (!first) hand([GAP, []]);
      join();
    } else if (reaches(place, cover.start) || handed.has(cover.start, place)) join();
    else if (!own) dial(topics);
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
      cover.end();
    },
    attach(other, from) {
      sink = other;
      if (leading) return;
      stop();
      begin(from);
      wasOpen = false;
    },
    get cursor() {
      return here().cursor;
    },
    get busy() {
      return own !== undefined;
    },
    lead(wanted) {
      if (leading) return own?.want(wanted);
      stop();
      leading = true;
      // Others may have been further than this tab, which has only begun to listen.
      if (!place.cursor) place = known;
      dial(wanted);
    },
    alone() {
      cover.end();
      if (topics && !own) dial(topics);
    },
    stop,
    uncover: cover.end,
    beat(told, isKnown, first) {
      state = told;
      const text = JSON.stringify(told.status);
      if (text !== packed) status = unpack(told.status);
      packed = text;
      known = told.place;
      if (!topics) return;
      if (told.split) handed.isSplit = true;
      if (cover.phase === 'live') place = known;
      const isOpen = topics.every((topic) => told.open.includes(topic));
      // It may begin later, and still before what this tab has by now.
      const isBetter = cover.start === undefined || reaches(place, told.start);
      // A leader that repeats something says later where it begins.
      const isTold = first || told.start !== undefined || !place.cursor;
      if (isTold && isKnown && (first || isOpen) && (cover.phase === 'none' || (cover.phase === 'behind' && isBetter))) {
        follow(told, first);
      }
      if (cover.phase !== 'none' && isOpen && told.since) wasOpen = true;
      sink?.changed();
    },
    blocks(items, last) {
      known = last;
      if (!topics) return;
      if (cover.phase === 'live') {
        for (const item of items) hand(item);
        place = last;
      } else if (cover.phase === 'behind') {
        cover.keep(items);
        if (cover.isReached(place)) join();
      }
    },
    restart: () => own?.restart(),
    changed: () => sink?.changed(),
    flush,
    state: () => reportOf(own, here()),
    status(some = topics) {
      if (!topics) return IDLE;
      if (own) {
        const now = own.status(some);
        return now.state === 'open' && leading ? { ...now, role: 'leader' } : now;
      }
      if (hooks.away()) return HIDDEN;
      if (!state) return CONNECTING;
      const isOpen = (some as readonly string[]).every((topic) => state?.open.includes(topic));
      if (cover.phase === 'live' && isOpen && state.since) return { state: 'open', since: state.since, role: 'follower' };
      return status.state === 'open' || status.state === 'idle' ? CONNECTING : status;
    },
    inspect: () => own?.inspect() ?? [],
  };
}
