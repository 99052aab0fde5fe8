/**
 * A wire between a browser and a server that can be cut: a TCP proxy that ends streams at any byte, and
 * that refuses connections as a server does that is away.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';

export interface Cutter {
  /** The server's address, by way of this wire. */
  readonly url: string;
  /** Streams that were cut. */
  readonly cuts: number;
  /** Streams that are open now. */
  readonly streams: number;
  /** Each of the next streams ends after so many bytes of the server. */
  cutAfter(...bytes: number[]): void;
  /** Cuts all streams that are open. */
  cut(): void;
  /** Ends all connections and takes no new ones: they are refused. */
  refuse(): Promise<void>;
  /** Takes connections again, at the same address. */
  accept(): Promise<void>;
  close(): Promise<void>;
}

/** The head of a request for a stream, however the connection was used before. */
const STREAM = /^GET [^ ]*\/events[/? ]/m;

export async function startCutter(target: string): Promise<Cutter> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  const streams = new Set<Socket>();
  const limits: number[] = [];
  let cuts = 0;
  let listening: Server | undefined;
  let own = 0;

  function end(client: Socket): void {
    if (streams.delete(client)) cuts++;
    client.destroy();
  }

  function carry(client: Socket): void {
    const server = connect(Number(port), hostname);
    let left: number | undefined;
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('error', () => {});
    }
    client.on('close', () => {
      sockets.delete(client);
      streams.delete(client);
      server.destroy();
    });
    server.on('close', () => {
      sockets.delete(server);
      client.end();
    });
    client.on('data', (bytes: Buffer) => {
      if (STREAM.test(bytes.toString('latin1'))) {
        streams.add(client);
        left = limits.shift();
      }
      server.write(bytes);
    });
    server.on('data', (bytes: Buffer) => {
      if (left === undefined || bytes.length < left) {
        if (left !== undefined) left -= bytes.length;
        client.write(bytes);
        return;
      }
      // The last bytes leave before the end does.
      client.write(bytes.subarray(0, left), () => end(client));
      server.destroy();
    });
  }

  async function accept(): Promise<void> {
    const server = createServer(carry).listen(own, '127.0.0.1');
    await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
    listening = server;
    own = (server.address() as AddressInfo).port;
  }

  async function refuse(): Promise<void> {
    for (const client of streams) end(client);
    for (const socket of sockets) socket.destroy();
    const closing = listening;
    listening = undefined;
    if (closing) await new Promise((resolve) => closing.close(resolve));
  }

  await accept();
  return {
    url: `http://127.0.0.1:${own}/`,
    get cuts() {
      return cuts;
    },
    get streams() {
      return streams.size;
    },
    cutAfter: (...bytes) => void limits.push(...bytes),
    cut: () => streams.forEach(end),
    refuse,
    accept,
    close: refuse,
  };
}
