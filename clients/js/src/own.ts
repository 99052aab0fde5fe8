/**
 * The streams of this page: spreads the topics that are wanted over as few of them as possible, and
 * turns many changes in quick succession into one.
 */
import { fits } from './address.ts';
import { worst, IDLE, type Connect } from './connection.ts';
import { createMerge } from './merge.ts';
import { createStream, type Stream } from './stream.ts';
import type { Status } from './types.ts';

/** Changes within this time are one. */
const COALESCE_MS = 50;

/** One object: a status that did not change is the same one. */
const FIRST_ATTEMPT: Status = { state: 'connecting', attempt: 1 };

export const connectOwn: Connect = (runtime, sink, { from, spread }) => {
  const { config } = runtime;
  let streams: Stream[] = [];
  let wanted: readonly string[] | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** The timer is for topics that are missing, not for those that are too many. */
  let isUrgent = false;
  let ended = false;
  const merge = createMerge(sink, () => streams.length > 1);

  /** Makes the streams what is wanted. */
  function apply(): void {
    timer = undefined;
    if (!wanted) return closeAll();
    const rest = new Set(wanted);
    const plan: { stream?: Stream; topics: string[] }[] = streams.map((stream) => {
      const topics = spread ? stream.topics.filter((topic) => rest.delete(topic)) : [...rest];
      return { stream, topics };
    });
    if (spread) {
      for (const topic of rest) {
        const room = plan.find(({ topics }) => fits(config, [...topics, topic]));
        if (room) room.topics.push(topic);
        else plan.push({ topics: [topic] });
      }
    } else if (!plan.length) plan.push({ topics: [...rest] });
    // Like a topic that joins a stream, those of another stream begin where the streams are.
    const begin = streams[0]?.inspect().nodeId ?? from;
    const carrying: Stream[] = [];
    for (const { stream = createStream(runtime, merge.sink(), begin), topics } of plan) {
      if (spread && !topics.length) {
        stream.close();
        continue;
      }
      carrying.push(stream);
      if (stream.status === IDLE || topics.join('\n') !== stream.topics.join('\n')) stream.setTopics(topics);
    }
    streams = carrying;
    sink.changed();
  }

  function closeAll(): void {
    clearTimeout(timer);
    timer = undefined;
    const closing = streams;
    streams = [];
    for (const stream of closing) stream.close();
    if (!ended) runtime.log(0, 'idle', undefined);
    sink.changed();
  }

  return {
    want(topics, linger = config.linger) {
      if (ended) return;
      wanted = topics;
      const carried = new Set(streams.flatMap((stream) => stream.topics));
      const more = topics && (!streams.length || topics.some((topic) => !carried.has(topic)));
      const fewer = !topics || carried.size > topics.length;
      // What comes in quick succession does not put off what came first.
      if (!(more && isUrgent && timer !== undefined)) {
        clearTimeout(timer);
        timer = undefined;
        isUrgent = !!more;
        // What is no longer wanted may be wanted again at once, as when a page draws itself anew: the
        // time counts from the last such change. One that leaves topics is later than one that ends
        // all, so that a page whose parts end one after the other makes no request for the rest.
        const delay = more ? (streams.length ? COALESCE_MS : 0) : linger + (topics ? COALESCE_MS : 0);
        if (more || fewer) timer = setTimeout(apply, delay);
      }
      sink.changed();
    },
    status(topics) {
      if (!wanted && !streams.length) return IDLE;
      const some = topics?.length
        ? streams.filter((stream) => stream.topics.some((topic) => topics.includes(topic)))
        : streams;
      const carried = some.flatMap(({ status, carried, topics: all }) => (status.state === 'open' ? carried : all));
      const waits = !some.length || topics?.some((topic) => !carried.includes(topic));
      return worst([
        ...some.map((stream) => stream.status),
        ...(waits ? [FIRST_ATTEMPT] : []),
      ]);
    },
    cursor: () => streams[0]?.cursor,
    restart: () => streams.forEach((stream) => stream.restart()),
    close() {
      if (ended) return;
      ended = true;
      closeAll();
    },
    inspect: () => streams.map((stream) => stream.inspect()),
  };
};
