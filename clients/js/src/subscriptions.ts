/**
 * Who subscribes to what. Subscriptions of topics that blocks tell apart share one connection; each
 * other set of topics, and each subscription with a cursor of its own, has its own connection.
 */
import { isPattern, matches } from './address.ts';
import { IDLE, worst, type Connect, type Connection, type Runtime, type StreamInfo } from './connection.ts';
import { decode, jsonOf } from './decode.ts';
import { FantailError, guarded, report } from './errors.ts';
import { timeOf } from './ids.ts';
import { checkFrom, checkPage, checkTopics } from './options.ts';
import type { Block } from './parser.ts';
import type { Gap, Status, SubscribeOptions, Subscription } from './types.ts';

/** An event of any map. */
export interface PlainEvent {
  readonly name: string;
  readonly data: unknown;
  readonly id: string;
  readonly topic: string;
  readonly at: number;
}

/** What a subscription hears. Whatever throws here is reported and stops nothing. */
export interface Listener {
  /** It has been without a use since then (`performance.now()`): that is part of `linger`. */
  since?: number | undefined;
  event?(event: PlainEvent): void;
  gap?(gap: Gap, id: string): void;
  /** Whether somebody heard it; else it goes to the page's error reporting. */
  error?(error: FantailError): boolean;
  status?(status: Status): void;
}

interface Group {
  readonly key: string;
  readonly joined: boolean;
  readonly connection: Connection;
  readonly members: Set<Member>;
  /** Time up to which what its members have left is kept. */
  until: number;
}

interface Member {
  readonly topics: Set<string>;
  readonly listener: Listener;
  /** Cursor of a connection of its own. */
  from: string | undefined;
  /** Name of that connection. */
  key: string | undefined;
  group: Group | undefined;
  /** What it was last told; an ended one keeps it. */
  status: Status;
  end(): void;
}

export interface Subscriptions {
  add(topics: string | readonly string[], listener: Listener, options?: SubscribeOptions): Subscription;
  status(): Status;
  /** Of the joined connection, or of the first. */
  cursor(): string | undefined;
  restart(): void;
  close(): void;
  inspect(): { streams: StreamInfo[]; subscriptions: { topics: string[]; status: Status }[] };
}

/** Safari has no `Symbol.dispose`; a polyfill would use this one. */
export const DISPOSE: typeof Symbol.dispose = Symbol.dispose ?? Symbol.for('Symbol.dispose');

/** Key of the connection whose blocks tell their topics. */
export const JOINED = 'joined';

export const CLOSED: Status = { state: 'closed', why: 'closed' };

const REASONS = ['evicted', 'unknown', 'lagged', 'log', 'upstream'];

/** The gap that a block tells. A server of another kind may call an ordinary event `gap`. */
function gapOf({ event, data }: Block): Gap | undefined {
  const gap = event === 'gap' && (jsonOf(data ?? '') as Gap | null | undefined);
  return gap && REASONS.includes(gap.reason) ? gap : undefined;
}

export function createSubscriptions(runtime: Runtime, connect: Connect, changed: () => void): Subscriptions {
  const { config } = runtime;
  const groups = new Map<string, Group>();
  const decoders = config.events;
  let unique = 0;
  let closed = false;

  function fail(member: Member, error: FantailError): void {
    if (!guarded(() => member.listener.error?.(error))) report(error);
  }

  function keyOf(member: Member): string {
    if (member.from !== undefined) return (member.key ??= `own ${++unique}`);
    const list = [...member.topics];
    // Only a node tells the topic of an event, and a template is matched by the node alone.
    const tellable =
      config.server === 'fantail' && !config.native && list.length && !list.some((topic) => topic.includes('{'));
    return tellable ? JOINED : JSON.stringify(list.sort());
  }

  function enter(member: Member): void {
    const key = keyOf(member);
    let group = groups.get(key);
    if (!group) {
      const joined = key === JOINED;
      const created: Group = {
        key,
        joined,
        members: new Set(),
        until: 0,
        connection: connect(
          runtime,
          { block: (block, told) => deliver(created, block, told), changed: () => look(created) },
          { from: member.from ?? config.from, spread: joined, key: member.from === undefined ? key : undefined },
        ),
      };
      groups.set(key, (group = created));
    }
    member.group = group;
    group.members.add(member);
    refresh(group);
  }

  function leave(member: Member): void {
    const { group, listener } = member;
    member.group = undefined;
    if (!group?.members.delete(member)) return;
    group.until = Math.max(group.until, (listener.since ?? performance.now()) + config.linger);
    refresh(group);
  }

  function refresh({ connection, members, until }: Group): void {
    const topics = new Set([...members].flatMap((member) => [...member.topics]));
    connection.want(members.size ? [...topics] : undefined, until - performance.now());
  }

  /** Some status of a connection is another one. */
  function look(group: Group): void {
    // The group has ended, or its connection is being made.
    if (groups.get(group.key) !== group) return;
    for (const member of [...group.members]) {
      // What another one does when it is told may end this one.
      if (!group.members.has(member)) continue;
      const status = group.connection.status([...member.topics]);
      const before = member.status;
      if (same(before, status)) continue;
      member.status = status;
      guarded(() => member.listener.status?.(status));
      const error = status.state === 'closed' && status.why;
      // Later: this may be the call that subscribes.
      if (error && error !== 'closed') queueMicrotask(() => member.status === status && fail(member, error));
    }
    if (!group.members.size && group.connection.status().state === 'idle') {
      groups.delete(group.key);
      group.connection.close();
    }
    changed();
  }

  function hears({ topics }: Member, told: readonly string[]): boolean {
    return told.some(
      (topic) => topics.has(topic) || [...topics].some((each) => isPattern(each) && matches(each, topic)),
    );
  }

  function deliver(group: Group, block: Block, told: readonly string[]): void {
    const id = block.id ?? group.connection.cursor() ?? '';
    const gap = gapOf(block);
    const { data, topics } = block;
    if (data === undefined || (!group.joined && told.length)) return;
    const name = block.event ?? 'message';
    let decoded: { value: unknown } | FantailError | undefined;
    for (const member of [...group.members]) {
      if (!group.members.has(member)) continue;
      if (gap) {
        guarded(() => member.listener.gap?.(gap, id));
        continue;
      }
      if (group.joined && topics.length && (!hears(member, topics) || hears(member, told))) continue;
      decoded ??= read(name, data);
      if (decoded instanceof FantailError) {
        fail(member, decoded);
        continue;
      }
      const topic =
        topics.find((each) => hears(member, [each])) ??
        topics[0] ??
        (member.topics.size === 1 ? ([...member.topics][0] as string) : '');
      const event: PlainEvent = { name, data: decoded.value, id, topic, at: timeOf(id) ?? Date.now() };
      guarded(() => member.listener.event?.(event));
    }
  }

  /** Decodes once for all. */
  function read(name: string, data: string): { value: unknown } | FantailError {
    try {
      return { value: decode(Object.hasOwn(decoders, name) ? decoders[name] : undefined, name, data) };
    } catch (error) {
      runtime.log(0, 'error', error);
      return error as FantailError;
    }
  }

  return {
    add(topics, listener, { from, signal } = {}) {
      const member: Member = {
        topics: new Set(checkTopics(topics)),
        listener,
        from: from === undefined ? undefined : (checkFrom(from) ?? ''),
        key: undefined,
        group: undefined,
        status: IDLE,
        end() {
          signal?.removeEventListener('abort', member.end);
          if (member.status === CLOSED) return;
          member.status = CLOSED;
          leave(member);
          guarded(() => listener.status?.(CLOSED));
        },
      };
      checkPage(config);
      if (config.server === 'plain' && member.topics.size) {
        throw new TypeError(
          `\`topics\` must be [] for a plain SSE server: ${config.url.href} is one stream. If it is a node, end \`url\` with / or set \`server\``,
        );
      }
      const change = (topic: string, adds: boolean): void => {
        const { group, topics: list } = member;
        if (member.status === CLOSED || list.has(topic) === adds) return;
        leave(member);
        if (adds) list.add(topic);
        else list.delete(topic);
        const { size } = list;
        // Another connection goes on where this one is. What is in the joined one stays there.
        if (group && !(group.joined && (!size || keyOf(member) === JOINED))) {
          member.from = group.connection.cursor() ?? member.from ?? '';
        }
        // A list that has become empty is not the one that asks for all that the token grants.
        if (size) enter(member);
        else member.status = IDLE;
      };
      if (closed || signal?.aborted) member.status = CLOSED;
      else {
        signal?.addEventListener('abort', member.end);
        enter(member);
      }
      return {
        get status() {
          return member.status;
        },
        add: (topic) => change(checkTopics(topic)[0] as string, true),
        remove: (topic) => change(topic, false),
        close: member.end,
        [DISPOSE]: member.end,
      };
    },
    status: () => (closed ? CLOSED : worst([...groups.values()].map(({ connection }) => connection.status()))),
    cursor: () => (groups.get(JOINED) ?? [...groups.values()][0])?.connection.cursor(),
    restart: () => groups.forEach(({ connection }) => connection.restart()),
    close() {
      if (closed) return;
      closed = true;
      const ending = [...groups.values()];
      groups.clear();
      for (const { connection, members } of ending) {
        connection.close();
        for (const member of [...members]) member.end();
      }
      changed();
    },
    inspect: () => ({
      streams: [...groups.values()].flatMap(({ connection }) => connection.inspect()),
      subscriptions: [...groups.values()].flatMap(({ members }) =>
        [...members].map(({ topics, status }) => ({ topics: [...topics], status })),
      ),
    }),
  };
}

export function same(one: Status, other: Status): boolean {
  if (one === other) return true;
  const names = Object.keys(one) as (keyof Status)[];
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
