/**
 * While one request replaces another, both bring the same events. This tells the repetitions apart, by
 * their ids and their order.
 *
 * `expected` is what the current request will repeat of what its predecessor brought. `fresh` is what
 * came from the current one since the next one was sent off with the cursor of that moment.
 */
import { isWithin, keyOf, timeOf } from './ids.ts';
import type { Block } from './parser.ts';

/** Events that are remembered. Beyond it the old request ends early: nothing is lost, the new one repeats. */
export const OVERLAP_EVENTS_MAX = 10_000;

/** An event that was taken. */
export interface Known {
  /** See `keyOf`. */
  readonly key: string;
  readonly topics: readonly string[];
}

/** For each key, the topics of the events that have it, in the order of the stream. */
type Seen = Map<string, (readonly string[])[]>;

export interface Overlap {
  /** The next request is sent with a cursor, after which these have come. */
  sent(events?: readonly Known[]): void;
  /** There is no next request any more. */
  cancelled(): void;
  /** The next request takes the place of the current one. */
  replaced(): void;
  /** The current request will repeat these: they came from elsewhere. */
  expect(events: readonly Known[]): void;
  /**
   * The current request is at this place: it has repeated what is before it. Where a publisher's own id
   * is, only the ids around it tell: one with none behind it stays expected. `isNewest`: nothing came
   * to the server after this place until now, so that one, too, has been repeated.
   */
  reached(id: string, isNewest?: boolean): void;
  /**
   * An event of the current request. `all` if subscriptions have had it; else the topics of those that
   * have, mostly none.
   */
  take(block: Block): readonly string[] | 'all';
  /** As many events wait for the next request as may. */
  full(): boolean;
  /** Keys that are remembered. */
  size(): number;
}

function add(seen: Seen, key: string, topics: readonly string[]): void {
  const list = seen.get(key);
  if (list) list.push(topics);
  else seen.set(key, [topics]);
}

function seenOf(events: readonly Known[]): Seen {
  const seen: Seen = new Map();
  for (const { key, topics } of events) add(seen, key, topics);
  return seen;
}

export function createOverlap(): Overlap {
  let expected: Seen = new Map();
  let fresh: Seen | undefined;
  let count = 0;
  return {
    sent(events = []) {
      fresh = seenOf(events);
      count = events.length;
    },
    cancelled: () => void (fresh = undefined),
    replaced() {
      // What the current request has not repeated yet, the next one repeats as well. Events of topics
      // that are no longer wanted never are: the bound is for them.
      const seen: Seen = fresh ?? new Map();
      for (const [key, lists] of expected) {
        if (seen.size >= OVERLAP_EVENTS_MAX) break;
        for (const topics of lists) add(seen, key, topics);
      }
      expected = seen;
      fresh = undefined;
    },
    expect(events) {
      expected = seenOf(events);
    },
    reached(id, isNewest = false) {
      /** Own ids whose place is not known yet. */
      let own: string[] = [];
      let isBefore = true;
      for (const key of expected.keys()) {
        if (timeOf(key) === undefined) {
          if (isBefore) own.push(key);
        } else if (isWithin(key, id)) {
          expected.delete(key);
          if (!isBefore) continue;
          for (const each of own) expected.delete(each);
          own = [];
        } else isBefore = false;
      }
      if (isNewest && isBefore) expected.clear();
    },
    take(block) {
      const { id, topics } = block;
      if (!id || (!expected.size && !fresh)) return [];
      const key = keyOf(block);
      const lists = expected.get(key);
      const before = lists?.shift();
      if (lists && !lists.length) expected.delete(key);
      if (fresh) {
        count++;
        add(fresh, key, before ? [...before, ...topics] : topics);
      }
      if (!before) return [];
      return before.length && topics.some((topic) => !before.includes(topic)) ? before : 'all';
    },
    size: () => expected.size + (fresh?.size ?? 0),
    full: () => fresh !== undefined && count >= OVERLAP_EVENTS_MAX,
  };
}
