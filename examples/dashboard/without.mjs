// The dashboard's stream without a node: the server keeps every open response, and all that belongs to it.
import express from 'express';

const HEARTBEAT_MS = 15_000;
const HISTORY_MAX = 1_000;
const BEHIND_BYTES_MAX = 64 * 1024;

const clients = [];
const history = [];
let lastId = 0;

function remove(client) {
  const index = clients.indexOf(client);
  if (index >= 0) clients.splice(index, 1);
}

function write(client, text) {
  // A tab that does not read would fill the memory of this process.
  if (client.res.writableLength > BEHIND_BYTES_MAX) {
    remove(client);
    client.res.destroy();
    return;
  }
  client.res.write(text);
}

export function publish(topic, data) {
  const id = ++lastId;
  const text = `id: ${id}\nevent: ${topic}\ndata: ${JSON.stringify(data)}\n\n`;
  history.push({ id, topic, text });
  if (history.length > HISTORY_MAX) history.shift();
  for (const client of [...clients]) if (client.topics.has(topic)) write(client, text);
}

export const stream = express.Router();

stream.get('/events', (req, res) => {
  const topics = new Set([req.query.topic ?? []].flat());
  const client = { res, topics };
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': 'no-cache, no-transform',
    'X-Accel-Buffering': 'no',
  });
  res.flushHeaders();
  const cursor = Number(req.get('Last-Event-ID') ?? lastId);
  const oldest = history[0]?.id ?? lastId + 1;
  // After a restart the numbers begin again: a cursor may be ahead of them.
  if (cursor + 1 < oldest || cursor > lastId) write(client, 'event: gap\ndata: {}\n\n');
  for (const event of history) {
    if (event.id > cursor && topics.has(event.topic)) write(client, event.text);
  }
  clients.push(client);
  req.on('close', () => remove(client));
});

const timer = setInterval(() => {
  for (const client of [...clients]) write(client, ': still here\n\n');
}, HEARTBEAT_MS);

export function close() {
  clearInterval(timer);
  for (const { res } of clients.splice(0)) res.end();
}
