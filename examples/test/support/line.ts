/**
 * The network between pages and the node: a TCP forwarder that can be cut. While it is cut, open
 * connections are gone and new ones are ended at once.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Line {
  /** The node's address at this end. */
  readonly url: string;
  cut(): void;
  mend(): void;
  close(): Promise<void>;
}

export async function startLine(port: number): Promise<Line> {
  const sockets = new Set<Socket>();
  let whole = true;

  function keep(socket: Socket, other: Socket): void {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  }

  const server = createServer((near) => {
    if (!whole) {
      near.destroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    keep(near, far);
    keep(far, near);
    near.pipe(far).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));

  const end = (): void => sockets.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    cut() {
      whole = false;
      end();
    },
    mend() {
      whole = true;
    },
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      end();
      await closed;
    },
  };
}
