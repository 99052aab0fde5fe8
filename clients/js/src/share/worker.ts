/**
 * `@fantail/client/worker`: what a `SharedWorker` of an application imports. It has the streams of all
 * tabs. Clients of another address or user name have other streams in the same worker.
 *
 * A port does not tell that its tab is gone, so each tab has a Web Lock for which the worker waits.
 */
import type { Runtime } from '../connection.ts';
import { checkOptions } from '../options.ts';
import { createPage } from '../page.ts';
import { createTokens } from '../token.ts';
import type { ClientOptions, TokenReason } from '../types.ts';
import type { Opening, Refusal } from './by-worker.ts';
import type { Room } from './link.ts';
import { VERSION, type Answer, type Message } from './messages.ts';
import { createRoom } from './room.ts';

/** The tabs of one address and user name. */
interface House {
  readonly room: Room;
  /** By the ids of tabs. */
  readonly seats: Map<string, Seat>;
  /** Takes the answer of a tab that was asked for a token. */
  called(answer: Answer): void;
}

/** A tab from its coming to its going. A page that comes back to the same port has another one. */
interface Seat {
  readonly port: MessagePort;
  /** None once the tab is gone: a port that it left open must not keep the house. */
  house: House | undefined;
}

interface Call {
  readonly number: number;
  readonly why: TokenReason;
  /** The tab that was asked. */
  id: string;
  resolve(token: string | null): void;
  reject(error: Error): void;
}

function openHouse({ options, token, asks }: Opening, emptied: () => void): House {
  const seats = new Map<string, Seat>();
  let call: Call | undefined;
  let calls = 0;
  let streams = 0;

  /** Asks a tab, and another one if it goes. */
  function ask(): void {
    const [id] = seats.keys();
    if (!call || id === undefined) return;
    call.id = id;
    seats.get(id)?.port.postMessage({ kind: 'call', id, number: call.number, why: call.why } satisfies Message);
  }

  function source(why: TokenReason, signal: AbortSignal): Promise<string | null> {
    return new Promise((resolve, reject) => {
      call = { number: ++calls, why, id: '', resolve, reject };
      signal.addEventListener('abort', () => reject(signal.reason as Error));
      ask();
    });
  }

  const config = checkOptions({
    ...(options as unknown as ClientOptions<Record<string, unknown>>),
    ...(asks ? { token: source } : token !== undefined && { token }),
  });
  const runtime: Runtime = {
    config,
    page: createPage(),
    names: new Set(),
    nameListeners: new Set(),
    tokens: createTokens(config, () => {}),
    nextStream: () => ++streams,
    log() {},
  };
  const room = createRoom(runtime, source, {
    open() {},
    close() {},
    post: (message) => seats.forEach(({ port }) => port.postMessage(message)),
    replace() {},
    resign() {},
    gone(id) {
      const seat = seats.get(id);
      if (!seat) return;
      seat.house = undefined;
      seats.delete(id);
      if (call?.id === id) ask();
      if (seats.size) return;
      emptied();
      room.close();
      // Nobody waits for the answer to a call any longer.
      runtime.tokens.reset();
    },
  });
  room.lead('worker');
  return {
    room,
    seats,
    called({ number, token: answer, error }) {
      if (number !== call?.number) return;
      if (error === undefined) call.resolve(answer ?? null);
      else call.reject(new Error(error));
      call = undefined;
    },
  };
}

const houses = new Map<string, House>();

function open(port: MessagePort, opening: Opening): Seat | undefined {
  if (opening.version !== VERSION) {
    port.postMessage({ kind: 'refused', version: VERSION } satisfies Refusal);
    return undefined;
  }
  const name = JSON.stringify([opening.options, opening.share, opening.token, opening.asks]);
  let house = houses.get(name);
  if (!house) {
    house = openHouse(opening, () => houses.delete(name));
    houses.set(name, house);
  }
  const seat = { port, house };
  house.seats.set(opening.id, seat);
  return seat;
}

function listen(port: MessagePort): void {
  let seat: Seat | undefined;
  port.onmessage = ({ data }: MessageEvent<Message | Opening>) => {
    const house = seat?.house;
    if (data.kind === 'open') seat = open(port, data);
    else if (data.kind === 'called') house?.called(data);
    else {
      house?.room.hear(data);
      // Tabs do not hear each other.
      if (data.kind === 'reset') house?.seats.forEach(({ port: other }) => other !== port && other.postMessage(data));
    }
  };
}

/** Hears every tab that connects. A worker may have had connections before this was loaded. */
(globalThis as { onconnect?: unknown }).onconnect = ({ ports }: MessageEvent): void => {
  for (const port of ports) listen(port);
};

