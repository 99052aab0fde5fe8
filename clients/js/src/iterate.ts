/**
 * A subscription as an async iterator, with a bounded queue: a reader that is too slow is told a gap.
 */
import { checkNumber } from './options.ts';
import { CLOSED, type PlainEvent, type Subscriptions } from './subscriptions.ts';
import type { Gap, GapEvent, IterateOptions } from './types.ts';

/** Anything that an iterator yields, of any map. */
export type Item = PlainEvent | GapEvent;

type Waiting = { resolve(result: IteratorResult<Item, undefined>): void; reject(error: unknown): void };

const DONE = { done: true, value: undefined } as const;

export function iterate(
  subscriptions: Subscriptions,
  topics: string | readonly string[],
  options: IterateOptions = {},
): AsyncIterable<Item> {
  const queueMax = checkNumber('queue', options.queue, 1, 1_000_000, 1_000);
  return {
    [Symbol.asyncIterator]() {
      let queue: Item[] = [];
      /** Items before it are read. */
      let head = 0;
      const waiting: Waiting[] = [];
      let over = false;
      let failure: unknown;

      function put(item: Item): void {
        const reader = waiting.shift();
        if (reader) return reader.resolve({ done: false, value: item });
        const last = queue.at(-1);
        // One place beyond the limit is for the gap that says so.
        const length = queue.length - head;
        if (length >= queueMax) {
          const lagging = length > queueMax && last?.name === 'gap' ? (last.data as Gap) : undefined;
          if (lagging) queue.pop();
          queue.push(gapEvent({ from: lagging?.from ?? last?.id ?? '', to: item.id, reason: 'lagged' }, item.id));
        } else queue.push(item);
      }

      function finish(error?: unknown): void {
        if (over) return;
        over = true;
        failure = error;
        // A loop does not end an iterator that threw.
        subscription.close();
        for (const { resolve, reject } of waiting.splice(0)) {
          if (failure === undefined) resolve(DONE);
          else reject(failure);
          failure = undefined;
        }
      }

      const subscription = subscriptions.add(
        topics,
        {
          event: put,
          gap: (gap, id) => put(gapEvent(gap, id)),
          error(error) {
            // What could not be decoded is missing, too.
            if (error.code === 'decode') return false;
            finish(error);
            return true;
          },
          status(status) {
            if (status === CLOSED) finish();
          },
        },
        options,
      );
      if (subscription.status === CLOSED) finish();

      return {
        async next() {
          const value = queue[head++];
          // The time of `shift` grows with the queue.
          if (2 * head > queue.length) {
            queue = queue.slice(head);
            head = 0;
          }
          if (value) return { done: false, value };
          if (failure !== undefined) {
            const error = failure;
            failure = undefined;
            throw error;
          }
          if (over) return DONE;
          return new Promise((resolve, reject) => waiting.push({ resolve, reject }));
        },
        async return() {
          queue = [];
          head = 0;
          finish();
          return DONE;
        },
      };
    },
  };
}

function gapEvent(gap: Gap, id: string): GapEvent {
  return { name: 'gap', data: gap, id, topic: '', at: Date.now() };
}
