// dist/index.d.ts
export { createClient, type Inspection } from './client.ts';
export { debug } from './debug.ts';
export { json, text } from './decode.ts';
export { FantailError, type ErrorCode, type ErrorDetails, type Problem } from './errors.ts';
export type { StreamInfo } from './connection.ts';
export type { AnyEvent, Client, ClientOptions, Decoder, DefaultEvents, Event, EventMap, Events, From, Gap, GapEvent, Handlers, IterateOptions, Live, LiveOptions, LiveStore, LoadedState, LogLine, PublishOptions, Receipt, RetryOptions, StandardSchema, Status, SubscribeOptions, Subscription, TokenReason, WaitReason, } from './types.ts';

// dist/client.d.ts
import type { StreamInfo } from './connection.ts';
import type { Client, ClientOptions, DefaultEvents, EventMap, Events, Status } from './types.ts';
export interface Inspection {
    readonly url: string;
    readonly server: string;
    readonly status: Status;
    readonly streams: readonly StreamInfo[];
    readonly subscriptions: readonly {
        readonly topics: readonly string[];
        readonly status: Status;
    }[];
}
export declare function createClient<E extends EventMap = DefaultEvents>(options: ClientOptions<E>): Client<Events<E>>;

// dist/debug.d.ts
import { type Inspection } from './client.ts';
import type { Client, EventMap } from './types.ts';
export declare function debug<M extends EventMap>(client: Client<M>): {
    inspection: Inspection;
    stop: () => void;
};

// dist/decode.d.ts
import type { Decoder } from './types.ts';
export declare function text(data: string): string;
export declare function json<T>(): (data: string) => T;
export declare function jsonOf(data: string): unknown;
export declare function decode(decoder: Decoder<unknown> | undefined, name: string, data: string): unknown;

// dist/errors.d.ts
export interface Problem {
    readonly type?: string;
    readonly title?: string;
    readonly status?: number;
    readonly detail?: string;
    readonly field?: string;
    readonly [member: string]: unknown;
}
export type ErrorCode = 'network' | 'idle' | 'unauthorized' | 'forbidden' | 'refused' | 'overloaded' | 'decode' | 'protocol';
export interface ErrorDetails {
    status?: number | undefined;
    problem?: Problem | undefined;
    cause?: unknown;
    retryAfter?: number | undefined;
}
export declare class FantailError extends Error {
    readonly name = "FantailError";
    readonly code: ErrorCode;
    readonly status: number | undefined;
    readonly problem: Problem | undefined;
    readonly retryAfter: number | undefined;
    constructor(code: ErrorCode, message: string, { cause, ...details }?: ErrorDetails);
}
export declare function codeOf(status: number): ErrorCode;
export declare function isFinal({ code, status }: FantailError): boolean;
export declare function report(error: unknown): void;
export declare function guarded<R>(call: () => R): R | undefined;
export declare function tell<T>(listeners: ReadonlySet<(value: T) => void>, value: T, current?: () => boolean): void;

// dist/connection.d.ts
import type { Config } from './options.ts';
import type { Page } from './page.ts';
import type { Block } from './parser.ts';
import type { Tokens } from './token.ts';
import type { LogLine, Status } from './types.ts';
export interface Runtime {
    readonly config: Config;
    readonly tokens: Tokens;
    readonly page: Page;
    readonly names: ReadonlySet<string>;
    readonly nameListeners: Set<() => void>;
    nextStream(): number;
    log(stream: number, kind: LogLine['kind'], detail: unknown): void;
}
export interface ConnectionSink {
    block(block: Block, told: readonly string[]): void;
    changed(): void;
}
export interface Connection {
    want(topics: readonly string[] | undefined, linger?: number): void;
    status(topics?: readonly string[]): Status;
    cursor(): string | undefined;
    restart(): void;
    close(): void;
    inspect(): StreamInfo[];
}
export type Connect = (runtime: Runtime, sink: ConnectionSink, options: ConnectOptions) => Connection;
export interface ConnectOptions {
    from: string | undefined;
    spread: boolean;
    key: string | undefined;
}
export interface StreamInfo {
    readonly stream: number;
    readonly topics: readonly string[];
    readonly cursor: string | undefined;
    readonly nodeId: string | undefined;
    readonly status: Status;
    readonly blocks: number;
    readonly remembered: number;
}
export declare function worst(states: readonly Status[]): Status;
export declare const IDLE: Status;

// dist/types.d.ts
/// <reference lib="esnext.disposable" preserve="true" />
import type { FantailError } from './errors.ts';
export type EventMap = object;
export interface DefaultEvents {
    message: string;
}
export type Events<E extends EventMap> = 'message' extends keyof E ? E : E & DefaultEvents;
export interface StandardSchema<T> {
    readonly '~standard': {
        readonly version: 1;
        readonly vendor: string;
        readonly validate: (value: unknown) => unknown;
        readonly types?: {
            readonly input: unknown;
            readonly output: T;
        } | undefined;
    };
}
export type Decoder<T> = ((text: string) => T) | StandardSchema<T>;
export type TokenReason = 'first' | 'expiring' | 'refused';
export type From = 'now' | 'earliest' | (string & {});
export interface RetryOptions {
    base?: number;
    max?: number;
    attempts?: number;
}
export interface ClientOptions<E extends EventMap = DefaultEvents> {
    url: string | URL;
    server?: 'fantail' | 'mercure' | 'plain';
    token?: string | ((why: TokenReason, signal: AbortSignal) => Promise<string | null> | string | null);
    events?: {
        [K in keyof E]?: Decoder<E[K]>;
    };
    from?: From;
    retry?: RetryOptions;
    idle?: number;
    linger?: number;
    hidden?: 'keep' | 'pause';
    share?: string | false;
    worker?: () => SharedWorker;
    topicsPerStream?: number;
    credentials?: RequestCredentials;
    headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
    fetch?: typeof fetch;
    transport?: 'fetch' | 'eventsource';
    log?: (line: LogLine) => void;
}
export interface Event<E extends EventMap = DefaultEvents, K extends keyof E = keyof E> {
    readonly name: K;
    readonly data: E[K];
    readonly id: string;
    readonly topic: string;
    readonly at: number;
}
export type AnyEvent<E extends EventMap> = {
    [K in keyof E]: Event<E, K>;
}[keyof E];
export interface Gap {
    readonly from: string;
    readonly to: string;
    readonly reason: 'evicted' | 'unknown' | 'lagged' | 'log' | 'upstream';
}
export interface GapEvent {
    readonly name: 'gap';
    readonly data: Gap;
    readonly id: string;
    readonly topic: '';
    readonly at: number;
}
export type Handlers<E extends EventMap = DefaultEvents> = {
    [K in keyof E as Exclude<K, 'gap' | 'error'>]?: (data: E[K], event: Event<E, K>) => void;
} & {
    gap?: (gap: Gap) => void;
    error?: (error: FantailError) => void;
};
export interface SubscribeOptions {
    from?: From;
    signal?: AbortSignal;
}
export interface IterateOptions extends SubscribeOptions {
    queue?: number;
}
export interface Subscription {
    readonly status: Status;
    add(topic: string): void;
    remove(topic: string): void;
    close(): void;
    [Symbol.dispose](): void;
}
export type WaitReason = 'drain' | 'shed' | 'offline' | 'hidden';
export type Status = 
{
    readonly state: 'idle';
}
| {
    readonly state: 'connecting';
    readonly attempt: number;
}
| {
    readonly state: 'open';
    readonly since: number;
    readonly role: 'own' | 'leader' | 'follower';
}
| {
    readonly state: 'waiting';
    readonly attempt: number;
    readonly at: number;
    readonly why: FantailError | WaitReason;
}
| {
    readonly state: 'closed';
    readonly why: FantailError | 'closed';
};
export interface Receipt {
    readonly id: string;
    readonly subscribers: number | undefined;
}
export interface PublishOptions {
    event?: string;
    id?: string;
    private?: boolean;
    key?: string;
    signal?: AbortSignal;
}
export interface LiveOptions<S, E extends EventMap = DefaultEvents> {
    topics: string | readonly string[];
    load: (signal: AbortSignal) => Promise<S | LoadedState<S>>;
    apply: (state: S, event: AnyEvent<E>) => S;
    queue?: number;
}
export interface LoadedState<S> {
    state: S;
    cursor: string;
}
export interface Live<S> {
    readonly state: S | undefined;
    readonly loading: boolean;
    readonly stale: boolean;
    readonly error?: unknown;
    readonly status: Status;
}
export interface LiveStore<S> {
    getSnapshot(): Live<S>;
    subscribe(listener: () => void): () => void;
    reload(): void;
    close(): void;
}
export interface Client<M extends EventMap = DefaultEvents> {
    subscribe(topics: string | readonly string[], handlers: Handlers<M>, options?: SubscribeOptions): Subscription;
    events(topics: string | readonly string[], options?: IterateOptions): AsyncIterable<AnyEvent<M> | GapEvent>;
    live<S>(options: LiveOptions<S, M>): LiveStore<S>;
    publish(topic: string | readonly string[], data: unknown, options?: PublishOptions): Promise<Receipt>;
    readonly status: Status;
    readonly cursor: string | undefined;
    onStatus(listener: (status: Status) => void): () => void;
    refreshToken(): Promise<void>;
    close(): void;
    [Symbol.dispose](): void;
}
export interface LogLine {
    readonly at: number;
    readonly stream: number;
    readonly kind: 'connect' | 'open' | 'event' | 'id' | 'gap' | 'replace' | 'end' | 'wait' | 'idle' | 'closed' | 'token' | 'share' | 'error';
    readonly detail: unknown;
}

// dist/react/index.d.ts
import { type ReactElement, type ReactNode } from 'react';
import type { Client, EventMap, Handlers, Live, LiveOptions, Status } from '../types.ts';
import type { DataOf, RegisteredEvents } from '../views/types.ts';
export interface Register {
}
export type Registered = RegisteredEvents<Register>;
export interface FantailProviderProps<M extends EventMap> {
    client: Client<M>;
    children?: ReactNode;
}
export interface UseEventsOptions {
    enabled?: boolean | undefined;
}
export interface UseLatestOptions<K, I> {
    event?: K | undefined;
    initial?: I | undefined;
}
export interface LiveView<S> extends Live<S> {
    readonly reload: () => void;
}
export declare function FantailProvider<M extends EventMap>({ client, children }: FantailProviderProps<M>): ReactElement;
export declare function useClient<M extends EventMap = Registered>(): Client<M>;
export declare function useEvents<M extends EventMap = Registered>(topics: string | readonly string[], handlers: Handlers<M>, { enabled }?: UseEventsOptions): void;
export declare function useLive<S, M extends EventMap = Registered>(options: LiveOptions<S, M> | null): LiveView<S>;
export declare function useLatest<M extends EventMap = Registered, const K extends keyof M = keyof M & 'message', I = undefined>(topic: string, { event, initial }?: UseLatestOptions<K, I>): DataOf<M, K> | I;
export declare function useStatus(): Status;

// dist/vue/index.d.ts
import { type ComputedRef, type MaybeRef, type MaybeRefOrGetter, type Plugin, type ShallowRef } from 'vue';
import type { Client, EventMap, Handlers, Live, LiveOptions, Status } from '../types.ts';
import type { DataOf, RegisteredEvents } from '../views/types.ts';
export interface Register {
}
export type Registered = RegisteredEvents<Register>;
export interface UseEventsOptions {
    enabled?: MaybeRefOrGetter<boolean> | undefined;
}
export interface UseLatestOptions<K, I> {
    event?: MaybeRefOrGetter<K> | undefined;
    initial?: I | undefined;
}
export type LiveRefs<S> = {
    readonly [K in keyof Live<S>]-?: ComputedRef<Live<S>[K]>;
} & {
    readonly reload: () => void;
};
export declare function fantail<M extends EventMap>(client: Client<M>): Plugin;
export declare function useClient<M extends EventMap = Registered>(): Client<M>;
export declare function useEvents<M extends EventMap = Registered>(topics: MaybeRefOrGetter<string | readonly string[]>, handlers: MaybeRefOrGetter<Handlers<M>>, { enabled }?: UseEventsOptions): void;
export declare function useLive<S, M extends EventMap = Registered>(options: () => LiveOptions<S, M> | null): LiveRefs<S>;
export declare function useLive<S, M extends EventMap = Registered>(options: MaybeRef<LiveOptions<S, M> | null>): LiveRefs<S>;
export declare function useLatest<M extends EventMap = Registered, const K extends keyof M = keyof M & 'message', I = undefined>(topic: MaybeRefOrGetter<string>, { event, initial }?: UseLatestOptions<K, I>): Readonly<ShallowRef<DataOf<M, K> | I>>;
export declare function useStatus(): Readonly<ShallowRef<Status>>;

// dist/testing/index.d.ts
import type { FakeNode, FakeNodeOptions } from './types.ts';
export type { FakeNode, FakeNodeOptions, FakePublishOptions, FakeRequest, FakeStream, RefuseOptions, } from './types.ts';
export declare function createFakeNode(options?: FakeNodeOptions): FakeNode;

// dist/testing/types.d.ts
import type { Gap } from '../types.ts';
export interface FakeNodeOptions {
    url?: string | undefined;
    heartbeat?: number | undefined;
    retry?: number | undefined;
    prime?: 'auto' | 'manual' | undefined;
}
export interface FakeRequest {
    readonly method: string;
    readonly url: URL;
    readonly headers: Headers;
    readonly topics: readonly string[];
    readonly cursor: string | undefined;
    readonly token: string | undefined;
}
export interface FakeStream {
    readonly request: FakeRequest;
    readonly open: boolean;
    prime(): void;
    send(text: string): void;
    gap(reason?: Gap['reason']): void;
    drain(retry?: number): void;
    cut(): void;
}
export interface FakePublishOptions {
    event?: string | undefined;
    id?: string | undefined;
}
export interface RefuseOptions {
    times?: number | undefined;
    detail?: string | undefined;
    retryAfter?: number | undefined;
}
export interface FakeNode {
    readonly url: string;
    readonly fetch: typeof fetch;
    readonly requests: readonly FakeRequest[];
    readonly streams: readonly FakeStream[];
    stream(): Promise<FakeStream>;
    publish(topic: string | readonly string[], data: unknown, options?: FakePublishOptions): string;
    heartbeat(): void;
    gap(reason?: Gap['reason']): void;
    forget(): void;
    drain(retry?: number): void;
    cut(): void;
    refuse(status: number, options?: RefuseOptions): void;
    shed(times?: number, retry?: number): void;
    settled(): Promise<void>;
}

// dist/share/worker.d.ts
export {};
