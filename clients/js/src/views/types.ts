/**
 * Types that React and Vue have in common. No code.
 */
import type { Client, DefaultEvents, EventMap, Handlers, LiveOptions } from '../types.ts';

/** The event map of the client that an application registered; `DefaultEvents` if it did not. */
export type RegisteredEvents<R> = R extends { client: Client<infer M> } ? M : DefaultEvents;

/** Views hand data through and never read it: inside of them, every map is this one. */
export type AnyEvents = Record<string, unknown>;
export type AnyClient = Client<AnyEvents>;
export type AnyHandlers = Handlers<AnyEvents>;
export type AnyLiveOptions<S> = LiveOptions<S, AnyEvents>;

/** The data of an event of a map. */
export type DataOf<M extends EventMap, K> = K extends keyof M ? M[K] : never;
