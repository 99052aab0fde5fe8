/** The subscriptions of this tab to a stream, for as long as they linger. */
import type { Connection, ConnectionSink } from '../connection.ts';
import type { Track } from './track.ts';

/** `update` is called when this tab wants something else of the stream. */
export function subscribeTo(
  track: Track,
  sink: ConnectionSink,
  from: string | undefined,
  update: () => void,
): Connection {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  track.attach(sink, from);

  function end(): void {
    clearTimeout(timer);
    if (!track.topics) return;
    track.topics = undefined;
    track.attach(undefined);
    update();
    sink.changed();
  }

  return {
    want(topics, linger) {
      if (ended) return;
      clearTimeout(timer);
      if (!topics) timer = setTimeout(end, linger);
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
    close() {
      if (ended) return;
      ended = true;
      end();
    },
    inspect: () => track.inspect(),
  };
}
