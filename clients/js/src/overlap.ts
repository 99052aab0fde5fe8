/**
 * While one request replaces another, both bring the same events. This tells the repetitions apart, by
 * their ids and their order.
 *
 * `expected` is what the current request will repeat of what its predecessor brought. `fresh` is what
 * came from the current one since the next one was sent off with the cursor of that moment.
 */
import type { Block } from './parser.ts';

/** Events that are remembered. Beyond it the old request ends early: nothing is lost, the new one repeats. */
export const OVERLAP_EVENTS_MAX = 10_000;

/** For each id, the topics of the events that have it: publishers may use an id again. */
type Seen = Map<string, (readonly string[])[]>;

export interface Overlap {
  /** The next request is sent with a cursor, after which these have come. */
  sent(blocks?: readonly Block[]): void;
  /** There is no next request any more. */
  cancelled(): void;
  /** The next request takes the place of the current one. */
  replaced(): void;
  /** The current request will repeat these: they came from elsewhere. Those without data are no events. */
  expect(blocks: readonly Block[]): void;
  /** The current request has reached the newest event: it has repeated everything. */
  caughtUp(): void;
  /**
   * An event of the current request. `all` if subscriptions have had it; else the topics of those that
   * have, mostly none.
   */
  take(block: Block): readonly string[] | 'all';
  /** As many events wait for the next request as may. */
  full(): boolean;
  /** Ids that are remembered. */
  size(): number;
}

function add(seen: Seen, id: string, topics: readonly string[]): void {
  const list = seen.get(id);
  if (list) list.push(topics);
  else seen.set(id, [topics]);
}

function seenOf(blocks: readonly Block[]): Seen {
  const seen: Seen = new Map();
  for (const { id, data, topics } of blocks) if (id && data !== undefined) add(seen, id, topics);
  return seen;
}

export function createOverlap(): Overlap {
  let expected: Seen = new Map();
  let fresh: Seen | undefined;
  let count = 0;
  return {
    sent(blocks = []) {
      fresh = seenOf(blocks);
      count = blocks.length;
    },
    cancelled: () => void (fresh = undefined),
    replaced() {
      // What the current request has not repeated yet, the next one repeats as well. Events of topics
      // that are no longer wanted never are: the bound is for them.
      const seen: Seen = fresh ?? new Map();
      for (const [id, lists] of expected) {
        if (seen.size >= OVERLAP_EVENTS_MAX) break;
        for (const topics of lists) add(seen, id, topics);
      }
      expected = seen;
      fresh = undefined;
    },
    expect(blocks) {
      expected = seenOf(blocks);
    },
    caughtUp: () => expected.clear(),
    take({ id, topics }) {
      if (!id) return [];
      const lists = expected.get(id);
      const before = lists?.shift();
      if (lists && !lists.length) expected.delete(id);
      if (fresh) {
        count++;
        add(fresh, id, before ? [...before, ...topics] : topics);
      }
      if (!before) return [];
      return before.length && topics.some((topic) => !before.includes(topic)) ? before : 'all';
    },
    size: () => expected.size + (fresh?.size ?? 0),
    full: () => fresh !== undefined && count >= OVERLAP_EVENTS_MAX,
  };
}
