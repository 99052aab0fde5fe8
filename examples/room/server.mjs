// The room's server. It knows who somebody is, and says so in a token. What is said goes from the pages to the node.
import { createHmac, randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import express from 'express';

const {
  PORT = '3002',
  FANTAIL_URL = 'http://127.0.0.1:8080/',
  FANTAIL_JWT_SECRET = 'the-secret-of-the-examples-is-no-secret',
  TOKEN_SECONDS = '300',
} = process.env;

const LIFE_MS = Number(TOKEN_SECONDS) * 1_000;
const NAME = /^[\p{L}\p{N}_-]{1,20}$/u;
const COOKIE = 'room_session';

/** Who has entered, by the value of the cookie. */
const sessions = new Map();

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A JSON Web Token, signed by HS256. */
function sign(claims) {
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', FANTAIL_JWT_SECRET).update(text).digest('base64url')}`;
}

const tokenOf = ({ name }) =>
  sign({
    exp: Math.floor((Date.now() + LIFE_MS) / 1_000),
    mercure: {
      // One's own topic and no other: so the topic of an event says who spoke.
      publish: [`rooms/lobby/${name}`],
      // What anyone says, and who comes and goes.
      subscribe: ['rooms/lobby/{name}', '/.well-known/mercure/subscriptions/rooms%2Flobby{/subscriber}'],
      // Shown to the others beside the subscription.
      payload: { name },
    },
  });

/** A name is free again when its pages have asked for no token for two lives of one. */
function forgetTheGone() {
  for (const [id, { seen }] of sessions) if (Date.now() - seen > 2 * LIFE_MS) sessions.delete(id);
}

const idOf = (request) => new RegExp(`(?:^|; )${COOKIE}=([^;]+)`).exec(request.get('Cookie') ?? '')?.[1];

const app = express();
app.use(express.static(fileURLToPath(new URL('public', import.meta.url))), express.json());

app.get('/api/me', (request, response) => {
  response.json({ url: FANTAIL_URL, name: sessions.get(idOf(request))?.name ?? null });
});

app.post('/api/enter', (request, response) => {
  const name = String(request.body?.name ?? '').trim().normalize();
  if (!NAME.test(name)) return response.status(400).json({ error: 'a name has 1 to 20 letters and digits' });
  forgetTheGone();
  const taken = [...sessions.values()].some((each) => each.name.toLowerCase() === name.toLowerCase());
  if (taken) return response.status(409).json({ error: `${name} is in the room already` });
  const id = randomUUID();
  sessions.set(id, { name, seen: Date.now() });
  response.cookie(COOKIE, id, { httpOnly: true, sameSite: 'lax' }).status(201).json({ name });
});

app.post('/api/token', (request, response) => {
  const session = sessions.get(idOf(request));
  if (!session) return response.status(401).json({ error: 'enter first' });
  session.seen = Date.now();
  response.type('text').send(tokenOf(session));
});

app.post('/api/leave', (request, response) => {
  sessions.delete(idOf(request));
  response.clearCookie(COOKIE).status(204).end();
});

const server = app.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`the room is at http://127.0.0.1:${server.address().port}/`);
});

process.on('SIGTERM', () => {
  server.close();
  server.closeAllConnections();
});
