/**
 * One stream: keeps a request open for its topics, goes on from its cursor after every cut, and
 * replaces the request without a loss when its topics or its token change.
 *
 * There are at most two requests, the `current` one and the `next`, which takes its place at its first
 * word ("make before break"). Whatever comes from any other is dropped.
 */
import { matches, streamUrl } from './address.ts';
import { backoff, FLOOR_MAX_MS } from './backoff.ts';
import { IDLE, type ConnectionSink, type Runtime, type StreamInfo } from './connection.ts';
import { FantailError, isFinal } from './errors.ts';
import { keyOf, timeOf } from './ids.ts';
import { createOverlap, OVERLAP_EVENTS_MAX, type Known } from './overlap.ts';
import type { PageSignal } from './page.ts';
import type { Block } from './parser.ts';
import { failureOf, fetchTransport } from './transport/fetch.ts';
import type { Transport, TransportSink, Wire } from './transport/transport.ts';
import type { Status, WaitReason } from './types.ts';

/** Time open after which earlier failures no longer count. */
const STEADY_MS = 10_000;

/** Heartbeats of silence that are too many. */
const HEARTBEATS = 3;

/** A node's default for `heartbeat_interval`, until it announces its own. */
const HEARTBEAT_MS = 15_000;

/** A computer that comes back on line does so together with others. */
const ONLINE_JITTER_MS = 1_000;

export interface Stream {
  readonly topics: readonly string[];
  /** Topics of the request that is open. New ones are missing until it is replaced. */
  readonly carried: readonly string[];
  readonly status: Status;
  readonly cursor: string | undefined;
  /** Other topics: the request is replaced. */
  setTopics(topics: readonly string[]): void;
  restart(): void;
  close(): void;
  inspect(): StreamInfo;
}

/** One request, from the question for a token to its end. */
interface Call {
  wire?: Wire;
  /** Other topics are another request. */
  readonly topics: readonly string[];
  /** Time of its first word; 0 before. */
  openAt: number;
  /** Time of the last sign of life. */
  heardAt: number;
  token?: string | null | undefined;
  /** The cursor that was sent. */
  cursor?: string | undefined;
  /** It goes on from this id, not from that cursor. */
  missing?: string | undefined;
  /** The server asked for a wait, and nothing came after it. */
  farewell?: boolean;
  blocks: number;
  retry: number;
  over?: boolean;
}

export function createStream(runtime: Runtime, sink: ConnectionSink, from: string | undefined): Stream {
  const { config, tokens, page } = runtime;
  const number = runtime.nextStream();
  const log: (kind: Parameters<Runtime['log']>[1], detail: unknown) => void = (kind, detail) =>
    runtime.log(number, kind, detail);
  let topics: readonly string[] = [];
  let cursor = from;
  /** The last id of the node's own. A publisher's own is a cursor for streams of its topics only. */
  let nodeId: string | undefined;
  /** Events after it: all of them have ids of publishers. */
  let since: Known[] = [];
  let status: Status = IDLE;
  let blocks = 0;
  let current: Call | undefined;
  let next: Call | undefined;
  const overlap = createOverlap();
  /** Failures in a row, and the time of the last. */
  let failures = 0;
  let failedAt = 0;
  /** Least wait that the server asked for. */
  let floor = 0;
  /** Time before which the server wants no request. */
  let notBefore = 0;
  let announced = config.server === 'fantail' ? HEARTBEAT_MS * HEARTBEATS : undefined;
  /** A 401 has been answered with another token since the stream was last open. */
  let refused = false;
  /** It has been open: what comes between two requests without a cursor is lost. */
  let wasOpen = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let watch: ReturnType<typeof setTimeout> | undefined;
  let onlineTimer: ReturnType<typeof setTimeout> | undefined;

  /** Ends listening to the page and to renewals. */
  let attached: (() => void) | undefined;

  const idle = (): number | undefined => config.idle ?? announced;

  function setStatus(changed: Status): void {
    status = changed;
    sink.changed();
  }

  function connecting(): void {
    setStatus({ state: 'connecting', attempt: failures + 1 });
  }

  function stop(call: Call | undefined): void {
    if (!call) return;
    call.over = true;
    call.wire?.stop();
  }

  /** Ends both requests and all timers. */
  function halt(): void {
    clearTimeout(timer);
    clearTimeout(watch);
    clearTimeout(onlineTimer);
    stop(current);
    current = undefined;
    dropNext();
  }

  function dropNext(): void {
    stop(next);
    next = undefined;
    overlap.cancelled();
  }

  function close(why: FantailError | 'closed'): void {
    if (status.state === 'closed') return;
    halt();
    detach();
    log('closed', why);
    setStatus({ state: 'closed', why });
  }

  function wait(delay: number, why: FantailError | WaitReason): void {
    clearTimeout(timer);
    if (delay < Infinity) timer = setTimeout(dial, delay);
    log('wait', { delay, why });
    // A request that is to be replaced goes on meanwhile.
    if (current) return;
    setStatus({ state: 'waiting', attempt: failures + 1, at: Date.now() + delay, why });
  }

  /** Starts a request: in place of one that is open, or as the only one. */
  function dial(): void {
    clearTimeout(timer);
    if (page.away(config.pauseHidden)) {
      halt();
      return wait(Infinity, 'hidden');
    }
    const call: Call = { topics, openAt: 0, heardAt: Date.now(), blocks: 0, retry: 0 };
    dropNext();
    if (current?.openAt) {
      next = call;
    } else {
      stop(current);
      current = call;
      connecting();
    }
    tick();
    void start(call);
  }

  async function start(call: Call): Promise<void> {
    let transport: Transport = fetchTransport;
    try {
      call.token = await tokens.get();
      if (config.native) transport = (await import('./transport/eventsource.ts')).eventSourceTransport;
    } catch (cause) {
      return ended(call, failureOf(cause));
    }
    if (call.over) return;
    const url = streamUrl(config, call.topics);
    // A publisher's own id is unknown to a request without its topics: that begins before it.
    const { topics: last } = since.at(-1) ?? { topics: [] };
    const isKnown = !nodeId || !last.length || last.some((topic) => call.topics.some((each) => matches(each, topic)));
    const begin = isKnown ? cursor : nodeId;
    log(call === next ? 'replace' : 'connect', { url: url.href, cursor: begin });
    // From here on the old request brings what the new one will repeat.
    if (call === next || !isKnown) overlap.sent(isKnown ? [] : since);
    if (call !== next && !isKnown) overlap.replaced();
    call.cursor = begin;
    call.heardAt = Date.now();
    call.wire = transport(
      { url, token: call.token, cursor: begin, runtime },
      guard(call, {
        accepted(missing) {
          if (config.server === 'fantail' && !config.native) return;
          opened(call);
          call.missing = missing;
        },
        heard() {
          call.heardAt = Date.now();
        },
        block(block) {
          tellMissing(call);
          const prime = call.blocks++ === 0;
          opened(call);
          call.farewell = false;
          take(block, prime);
        },
        retry(milliseconds) {
          call.farewell = true;
          call.retry = Math.min(milliseconds, FLOOR_MAX_MS);
          if (call.openAt) floor = call.retry;
        },
        comment(text) {
          call.farewell = false;
          // In a prime only, and none that is a count: servers of other kinds number their heartbeats.
          const heartbeat = call.blocks ? 0 : Number(/^heartbeat (\d{4,9})$/.exec(text)?.[1]);
          if (!heartbeat) return tellMissing(call);
          // A node tells its gaps by itself, also as a hub.
          call.missing = undefined;
          announced = heartbeat * HEARTBEATS;
          tick();
        },
        end: (error) => ended(call, error),
      }),
    );
  }

  /** Nothing that a request says after its end is heard. */
  function guard(call: Call, inner: TransportSink): TransportSink {
    const guarded = Object.entries(inner).map(([name, method]: [string, (value?: never) => void]) => [
      name,
      (value: never) => call.over || method(value),
    ]);
    return Object.fromEntries(guarded) as TransportSink;
  }

  /** The first word of a request: from here on it is the current one. */
  function opened(call: Call): void {
    if (call.openAt) return;
    call.openAt = Date.now();
    floor = call.retry;
    notBefore = 0;
    refused = false;
    const replaces = call === next;
    if (replaces) promote();
    log('open', cursor);
    setStatus({ state: 'open', since: call.openAt, role: 'own' });
    if (wasOpen && !call.cursor && !replaces) tellGap();
    wasOpen = true;
  }

  function tellGap(from = '', to = ''): void {
    const data = JSON.stringify({ from, to, reason: 'unknown' });
    sink.block({ event: 'gap', data, topics: [] }, []);
  }

  /** The hub has told with its answer that it does not know the cursor. */
  function tellMissing(call: Call): void {
    const { missing } = call;
    call.missing = undefined;
    if (missing) tellGap(call.cursor, missing === 'earliest' ? '' : missing);
  }

  function take(block: Block, prime: boolean): void {
    blocks++;
    if (block.id !== undefined) cursor = block.id || undefined;
    if (cursor && timeOf(cursor) !== undefined) {
      nodeId = cursor;
      since = [];
    } else if (block.id) {
      if (since.push({ key: keyOf(block), topics: block.topics }) > OVERLAP_EVENTS_MAX) since.shift();
    }
    let told: readonly string[] | 'all' = [];
    if (block.data !== undefined) told = overlap.take(block);
    // A heartbeat is sent when nothing is left to repeat.
    else if (block.id) overlap.reached(block.id, !prime && !next);
    if (told === 'all') return;
    log(block.data === undefined ? 'id' : block.event === 'gap' ? 'gap' : 'event', block);
    if (next && overlap.full()) {
      promote();
      connecting();
    }
    sink.block(block, told);
  }

  /** The next request takes the place of the current one, which ends. */
  function promote(): void {
    stop(current);
    current = next;
    next = undefined;
    overlap.replaced();
  }

  function ended(call: Call, error?: FantailError): void {
    if (call.over) return;
    const now = Date.now();
    // When a replacement fails, what was open until now has been so since the failure before.
    const openAt = (current ?? call).openAt;
    if (openAt > failedAt && now - openAt >= STEADY_MS) failures = 0;
    stop(call);
    log('end', error);
    if (call === next) dropNext();
    else if (next) {
      // The old request ended before the new one had its first word.
      promote();
      return connecting();
    } else current = undefined;
    // An EventSource does not tell why it was refused: it may have been the token.
    const unauthorized = error?.status === 401 || (config.native && error?.code === 'refused');
    if (unauthorized && !refused && tokens.refused(call.token)) {
      refused = true;
      return dial();
    }
    if (error && isFinal(error)) return close(error);
    let why: FantailError | WaitReason =
      error ?? new FantailError('network', 'the server ended the stream');
    if (!error && call.farewell) why = call.openAt ? 'drain' : 'shed';
    if (why !== 'drain') {
      failures++;
      failedAt = now;
    }
    if (failures >= config.attempts) {
      return close(why instanceof FantailError ? why : new FantailError('overloaded', 'the server sheds the stream'));
    }
    if (call.retry) floor = call.retry;
    const least = Math.max(floor, error?.retryAfter ?? 0);
    notBefore = now + least;
    if (!current && globalThis.navigator?.onLine === false) return wait(Infinity, 'offline');
    wait(backoff(config, failures, least), why);
  }

  /** Compares clocks: a hidden page has a timer a minute, and a frozen one none. */
  function check(): void {
    const limit = idle();
    if (!limit) return;
    for (const call of [next, current]) {
      // A call that waits for its token has not been sent.
      if (!call?.wire) continue;
      const silence = Date.now() - call.heardAt;
      if (silence > limit) ended(call, new FantailError('idle', `silence for ${silence} ms`));
      // The clock was set back.
      else if (silence < 0) call.heardAt = Date.now();
    }
  }

  function tick(): void {
    clearTimeout(watch);
    const limit = idle();
    if (!current || !limit) return;
    watch = setTimeout(() => {
      check();
      tick();
    }, limit / 4);
  }

  function hear(signal: PageSignal): void {
    const why = status.state === 'waiting' && status.why;
    if (page.away(config.pauseHidden)) {
      if (why === 'hidden') return;
      halt();
      return wait(Infinity, 'hidden');
    }
    if (why === 'hidden') return dial();
    if (signal === 'offline') {
      clearTimeout(onlineTimer);
      if (!current) wait(Infinity, 'offline');
    } else if (signal === 'online') {
      const delay = Math.max(notBefore - Date.now(), Math.random() * ONLINE_JITTER_MS);
      clearTimeout(onlineTimer);
      // A request that is open may have lost its way: another one takes its place.
      if (!current) wait(delay, why || 'offline');
      else if (current.openAt) onlineTimer = setTimeout(dial, delay);
    } else check();
  }

  function attach(): void {
    if (attached) return;
    const ends = [page.listen(hear), tokens.onRenewed(() => void (current && dial()))];
    attached = () => ends.forEach((end) => end());
  }

  function detach(): void {
    attached?.();
    attached = undefined;
  }

  return {
    get topics() {
      return topics;
    },
    get carried() {
      return current?.openAt ? current.topics : [];
    },
    get status() {
      return status;
    },
    get cursor() {
      return cursor;
    },
    setTopics(changed) {
      topics = changed;
      // Also after a refusal: it may have been about the topics.
      attach();
      // They change nothing about what the server asked for.
      const left = notBefore - Date.now();
      if (left > 0) wait(left, status.state === 'waiting' ? status.why : 'offline');
      else dial();
    },
    restart() {
      halt();
      failures = notBefore = floor = 0;
      refused = false;
      attach();
      dial();
    },
    close: () => close('closed'),
    inspect: () => ({ stream: number, topics, cursor, nodeId, status, blocks, remembered: overlap.size() }),
  };
}
