/**
 * A subscription that follows what a view wants: topics come and go without a loss, and handlers may
 * be other ones each time.
 */
import type { Subscription } from '../types.ts';
import { listOf, type Topics } from './topics.ts';
import type { AnyClient, AnyHandlers } from './types.ts';

/** From now on, these topics and these handlers. Without topics the subscription ends. */
export type Follow = (topics: Topics | undefined, handlers: AnyHandlers) => void;

export function createFollower(client: AnyClient): Follow {
  /** The client reads it at each event. */
  const current: AnyHandlers = {};
  let subscription: Subscription | undefined;
  let carried: string[] = [];

  return (topics, handlers) => {
    const before = Object.keys(current).length;
    for (const name in { ...current, ...handlers }) current[name] = handlers[name];
    const list = topics && listOf(topics);
    // No topics ask for all that the token grants, which a list that becomes empty does not.
    if (!list || !list.length !== !carried.length) {
      subscription?.close();
      subscription = undefined;
    }
    if (!list) return;
    if (!subscription) {
      subscription = client.subscribe((carried = list), current);
      return;
    }
    // An EventSource hears only the names that it is told. A subscription that is over at once tells
    // the new ones.
    if (Object.keys(current).length > before) client.subscribe([], current, { signal: AbortSignal.abort() });
    for (const topic of list) if (!carried.includes(topic)) subscription.add(topic);
    for (const topic of carried) if (!list.includes(topic)) subscription.remove(topic);
    carried = list;
  };
}
