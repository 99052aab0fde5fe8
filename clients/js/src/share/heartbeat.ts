/**
 * Signs of life: the leader gives one every 2 s, and a follower that hears none asks, and then replaces
 * it. Clocks are compared, ticks are never counted: a hidden page has a timer a minute.
 */

/** Time between two signs of life of the leader. */
export const BEAT_MS = 2_000;

/** Time between two looks at the clock. */
const TICK_MS = 1_000;

/** Silence after which the leader is asked, because a hidden page has a timer a minute. */
const ASK_MS = 3_000;

/** Silence after which the leader counts as dead. */
export const DEAD_MS = 6_000;

export interface HeartbeatHooks {
  leads(): boolean;
  beat(): void;
  ask(): void;
  /** Nothing was heard for too long. Returns whether something was done about it. */
  dead(): boolean;
}

export interface Heartbeat {
  start(): void;
  end(): void;
  /** The leader lives. */
  heard(): void;
  /** This tab has given a sign of life. */
  given(): void;
  /** Looks at the clock. */
  look(): void;
}

export function createHeartbeat(hooks: HeartbeatHooks): Heartbeat {
  let timer: ReturnType<typeof setInterval> | undefined;
  let heardAt = 0;
  let givenAt = 0;
  let lookedAt = 0;

  function look(): void {
    const now = Date.now();
    // A computer that slept, or a page that did not run, has heard nobody; or the clock was set back.
    if (now - lookedAt > 2 * BEAT_MS || now < lookedAt) heardAt = now - ASK_MS;
    lookedAt = now;
    if (hooks.leads()) {
      if (now - givenAt >= BEAT_MS || now < givenAt) hooks.beat();
    } else if (now - heardAt >= DEAD_MS && hooks.dead()) heardAt = now;
    else if (now - heardAt >= ASK_MS) hooks.ask();
  }

  return {
    start() {
      heardAt = lookedAt = Date.now();
      timer = setInterval(look, TICK_MS);
    },
    end: () => clearInterval(timer),
    heard: () => void (heardAt = Date.now()),
    given: () => void (givenAt = Date.now()),
    look,
  };
}
