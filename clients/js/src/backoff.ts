/**
 * How long to wait before another attempt.
 */
import type { Config } from './options.ts';

/** Longest wait that a server can ask for; a timer of a browser ends at 24 days. */
export const FLOOR_MAX_MS = 86_400_000;

/**
 * Full jitter: a random time up to `base · 2^(failures - 1)`, at most `max`; never less than the server
 * asked for.
 */
export function backoff({ base, max }: Config, failures: number, floor = 0): number {
  const most = Math.min(max, base * 2 ** Math.max(0, failures - 1));
  return Math.max(Math.min(floor, FLOOR_MAX_MS), Math.random() * most);
}
