/**
 * The tabs that share streams and a token, as one of them sees it. It is away; or there, and follows,
 * leads, or reads for itself until there is a leader. How messages get about, and who may lead, is the
 * link's business.
 */
import type { Runtime } from '../connection.ts';
import { connectOwn } from '../own.ts';
import type { PageSignal } from '../page.ts';
import { createHeartbeat } from './heartbeat.ts';
import type { Link, Room } from './link.ts';
import { beThere, createRoll } from './members.ts';
import type { Message, Wants } from './messages.ts';
import { createOneToken, type TokenSource } from './one-token.ts';
import { subscribeTo } from './subscriber.ts';
import { createTrack, type Track } from './track.ts';

export function createRoom(runtime: Runtime, source: TokenSource, link: Link): Room {
  const { config, page } = runtime;
  const tracks = new Map<string, Track>();
  const roll = createRoll(forget);
  const token = createOneToken(runtime.tokens, source, (message) => link.post(message));
  const heartbeat = createHeartbeat({
    leads: () => role === 'leader',
    beat: () => beat(false),
    ask: () => link.post({ kind: 'ping' }),
    dead() {
      // A page that nobody sees has time, unless it needs a token.
      if (role === 'alone' || (page.away(true) && !token.isAsked)) return false;
      // A lock that is free, or stolen, is had at once.
      if (!vanish || replaced === term) alone('the locks are silent');
      else {
        replaced = term;
        say('the leader is silent');
        link.replace();
      }
      return true;
    },
  });
  /** Another one each time that this tab comes; empty while it is away. */
  let id = '';
  let role: 'follower' | 'leader' | 'alone' = 'follower';
  /** Rises when this tab wants something else. */
  let revision = 0;
  /** Rises with each leader. */
  let term = 0;
  /** The term of the last leader that was to be replaced. */
  let replaced = -1;
  let beatDue = false;
  /** Lets go of the lock that says that this tab is there. The link is open meanwhile. */
  let vanish: (() => void) | undefined;
  /** The session became another one before the others could be told. */
  let resetDue = false;
  let unlisten: (() => void) | undefined;

  const away = (): boolean => page.away(config.pauseHidden);
  const say = (detail: unknown): void => runtime.log(0, 'share', detail);
  const needed = (): boolean => token.isAsked || [...tracks.values()].some(({ topics }) => topics);
  const each = (call: (track: Track) => void): void => tracks.forEach(call);

  function trackOf(key: string): Track {
    let track = tracks.get(key);
    if (!track) {
      track = createTrack(runtime, key, {
        away,
        changed: beatSoon,
        send(items, place) {
          const hasOthers = Object.keys(roll.all).some((member) => member !== id);
          if (role === 'leader' && hasOthers) link.post({ kind: 'blocks', term, key, items, place });
        },
      });
      tracks.set(key, track);
    }
    return track;
  }

  // This tab comes and goes.

  /** Something else is needed than before. */
  function update(): void {
    if (!needed()) {
      leave();
      unlisten?.();
      unlisten = undefined;
      return;
    }
    unlisten ??= page.listen(onPage);
    revision++;
    if (!id) return enter();
    note();
    if (role === 'leader') serve();
    else hello();
  }

  function enter(): void {
    if (id || away() || !needed()) return;
    const own = (id = crypto.randomUUID());
    heartbeat.start();
    note();
    beThere(own, () => {
      if (id !== own) return undefined;
      const held = new Promise<void>((resolve) => (vanish = resolve));
      link.open(own);
      if (resetDue) link.post({ kind: 'reset' });
      resetDue = false;
      hello();
      return held;
    }).catch((error: unknown) => alone(error));
  }

  function leave(): void {
    if (!id) return;
    link.post({ kind: 'bye', id });
    id = '';
    role = 'follower';
    heartbeat.end();
    roll.all = {};
    roll.unwatch();
    each((track) => track.stop());
    link.close();
    vanish?.();
    vanish = undefined;
    // There is no leader for a page that is away.
    token.answer();
  }

  function onPage(signal: PageSignal): void {
    if (away()) leave();
    else if (!id) enter();
    else if (signal !== 'offline') heartbeat.look();
    each((track) => track.changed());
  }

  /** What this tab wants. */
  function wants(): Wants {
    return Object.fromEntries([...tracks].flatMap(([key, { topics }]) => (topics ? [[key, topics]] : [])));
  }

  function note(): void {
    prune();
    roll.note(id, revision, wants());
  }

  /** Forgets the streams that this tab neither wants nor has. A leader tells again of those that it has. */
  function prune(): void {
    for (const [key, { topics, busy }] of tracks) if (!topics && !busy) tracks.delete(key);
  }

  function hello(): void {
    link.post({ kind: 'hello', id, revision, wants: wants() });
  }

  // It leads.

  function lead(as?: string): void {
    if (as) {
      id = as;
      heartbeat.start();
    }
    role = 'leader';
    // Later than the one before, and no other tab's: two may steal the lock in the same moment.
    term = Math.max(term, Date.now()) + 1 - Math.random();
    say('leader');
    for (const member of Object.keys(roll.all)) if (member !== id) roll.watch(member);
    serve();
    beat(true);
    token.answer();
  }

  function demote(): void {
    if (role !== 'leader') return;
    role = 'follower';
    roll.unwatch();
    say('follower');
    heartbeat.heard();
    each((track) => track.stop());
  }

  /** Opens what all tabs want, and says so. */
  function serve(): void {
    const union = roll.union();
    for (const key of union.keys()) trackOf(key);
    for (const [key, track] of tracks) {
      const topics = union.get(key);
      if (topics || track.busy) track.lead(topics);
    }
    beatSoon();
  }

  function beatSoon(): void {
    if (beatDue || role !== 'leader') return;
    beatDue = true;
    queueMicrotask(() => {
      beatDue = false;
      beat(false);
    });
  }

  function beat(first: boolean): void {
    if (role !== 'leader') return;
    heartbeat.given();
    each((track) => track.flush());
    const streams = Object.fromEntries([...tracks].map(([key, track]) => [key, track.state()]));
    link.post({ kind: 'beat', term, first, members: roll.all, streams });
    // What no tab wants any longer was told for the last time.
    prune();
  }

  function forget(member: string): void {
    if (!roll.all[member]) return;
    roll.forget(member);
    link.gone?.(member);
    if (role === 'leader') serve();
  }

  // It follows.

  /** A sign of life of a leader. Returns whether it is the one that counts. */
  function follow(other: number): boolean {
    if (other < term || (role === 'leader' && other === term)) return false;
    if (role === 'leader') {
      demote();
      link.resign();
    }
    heartbeat.heard();
    role = 'follower';
    if (other !== term) each((track) => track.uncover());
    term = other;
    return true;
  }

  function hearBeat({ members, streams, first }: Message & { kind: 'beat' }): void {
    const mine = members[id];
    const known = mine?.revision === revision;
    roll.all = members;
    note();
    if (!mine) each((track) => track.uncover());
    if (!known) hello();
    for (const [key, state] of Object.entries(streams)) trackOf(key).beat(state, known, first);
    token.ask(id, term);
  }

  // There is no leader.

  function alone(why: unknown): void {
    if (!id) return;
    role = 'alone';
    say(`own stream: ${String(why)}`);
    each((track) => track.alone());
    token.answer();
  }

  function restart(): void {
    if (role !== 'follower') each((track) => track.restart());
  }

  function hear(message: Message): void {
    if (!id) return;
    switch (message.kind) {
      case 'beat':
        if (follow(message.term)) hearBeat(message);
        return;
      case 'blocks':
        if (follow(message.term)) trackOf(message.key).blocks(message.items, message.place);
        return;
      case 'hello':
        roll.note(message.id, message.revision, message.wants);
        if (role !== 'leader') return;
        roll.watch(message.id);
        return serve();
      case 'bye':
        return forget(message.id);
      case 'ping':
        return beat(false);
      case 'ask':
        if (role === 'leader') void token.give(message.id, message.number, message.refused);
        return;
      case 'token':
        if (message.id === id) token.take(message);
        return;
      case 'reset':
        runtime.tokens.reset();
        restart();
    }
  }

  return {
    connect(sink, options) {
      const track = trackOf(options.key as string);
      // The stream is under way already, for other tabs.
      if (track.busy && options.from !== undefined) return connectOwn(runtime, sink, options);
      return subscribeTo(track, sink, options.from, update);
    },
    token(why, signal) {
      if (role !== 'follower' || away()) return source(why, signal);
      const answer = token.get(why, signal, () => needed() || update());
      if (id) link.post({ kind: 'ping' });
      else update();
      return answer;
    },
    reset() {
      if (vanish) link.post({ kind: 'reset' });
      else resetDue = true;
      restart();
    },
    close() {
      each((track) => (track.topics = undefined));
      token.end();
      update();
    },
    hear,
    lead,
    demote,
    alone,
  };
}
