// What slow tabs cost: the rate of the order book, and the memory of the node, without and with streams that read a
// few kilobytes a second. Prints a table; it asserts nothing.
//
//   npm run measure --prefix examples            ten seconds and 20 slow streams
//   npm run measure --prefix examples -- 60 200
import { connect } from 'node:net';
import { findApp, startApp } from '../demo/apps.mjs';
import { nodePorts, startNode } from '../demo/node.mjs';
import { freePort } from '../demo/processes.mjs';

const [seconds = 10, slowStreams = 20] = process.argv.slice(2).map(Number);

/** Milliseconds between two reads of a slow stream, each of 64 KiB at most. */
const SLOW_MS = 500;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const MiB = (bytes) => `${(bytes / 2 ** 20).toFixed(2)} MiB`;

/** A stream of the book, read as fast as it comes, or slowly. */
function openStream(port, isSlow) {
  const counts = { bytes: 0, gaps: 0 };
  const socket = connect(port, '127.0.0.1', () => {
    socket.write('GET /events/orderbook/BTC-EUR HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: text/event-stream\r\n\r\n');
  });
  socket.on('error', () => {});
  socket.on('data', (data) => {
    counts.bytes += data.length;
    counts.gaps += data.toString().split('event: gap').length - 1;
    if (!isSlow) return;
    socket.pause();
    setTimeout(() => socket.resume(), SLOW_MS);
  });
  return { counts, close: () => socket.destroy() };
}

const ports = await nodePorts();
const node = await startNode({ ports, origins: [] });
try {
  const options = { port: await freePort(), fantail: node.url, redis: node.redis };
  const server = await startApp(findApp('orderbook'), options);
  try {
    const change = async () => (await (await fetch(`${server.url}api/book`)).json()).change;
    const memory = async () => {
      const metrics = await (await fetch(`http://127.0.0.1:${ports.admin}/metrics`)).text();
      return Number(/^process_resident_memory_bytes (\S+)/m.exec(metrics)[1]);
    };

    /** Rate and memory over the time of a round. */
    async function round(name, readers) {
      const [first, began, before] = [await change(), performance.now(), await memory()];
      await sleep(seconds * 1_000);
      const rate = ((await change()) - first) / ((performance.now() - began) / 1_000);
      return { name, rate, before, after: await memory(), readers };
    }

    await sleep(2_000); // the history is full
    const alone = await round('no stream', []);
    const fast = openStream(ports.http, false);
    const withFast = await round('a fast stream', [fast]);
    const slow = Array.from({ length: slowStreams }, () => openStream(ports.http, true));
    const before = fast.counts.bytes;
    const withSlow = await round(`and ${slowStreams} slow ones`, [fast, ...slow]);
    const sent = fast.counts.bytes - before;
    const missed = slow.reduce((sum, { counts }) => sum + Math.max(0, sent - counts.bytes), 0);

    for (const { name, rate, before: from, after } of [alone, withFast, withSlow]) {
      const ratio = (rate / alone.rate).toFixed(2);
      console.log(`${name.padEnd(20)} ${ratio} × (${rate.toFixed(0)} changes/s)   memory ${MiB(from)}, then ${MiB(after)}`);
    }
    const gaps = slow.reduce((sum, { counts }) => sum + counts.gaps, 0);
    const growth = withSlow.after - withFast.after;
    console.log(`\nThe slow streams were sent ${MiB(missed)} less than the fast one, in ${gaps} gaps. A server with a queue for`);
    console.log(`each would hold that. The node grew by ${MiB(growth)}: ${((100 * growth) / missed).toFixed(2)} % of it.`);
    for (const { close } of [fast, ...slow]) close();
  } finally {
    await server.stop();
  }
} finally {
  await node.stop();
}
