// Publishes with a Redis client, as its users do. Usage: node redis.mjs PACKAGE PORT; says what each step gave, a line of JSON each.

import { Redis } from 'ioredis';
import { createClient } from 'redis';

import { say } from './talk.mjs';

const [name, port] = process.argv.slice(2);
const BROADCAST = "for i = 2, #ARGV do\n  redis.call('publish', ARGV[i], ARGV[1])\nend";

const clients = {
  ioredis: async () => {
    const client = new Redis(Number(port), '127.0.0.1');
    return {
      multi: () => client.multi().publish('t', '1').xadd('t', '*', 'data', '2').publish('t', '3').exec(),
      bad: () => client.multi().publish('t', 'lost').publish('', 'x').publish('t', 'lost').exec(),
      pipeline: () => client.pipeline().publish('t', '4').publish('t', '5').exec(),
      script: () => client.eval(BROADCAST, 0, '6', 't', 'other'),
      quit: () => client.quit(),
    };
  },
  redis: async () => {
    const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP: 3 });
    await client.connect();
    return {
      multi: () => client.multi().publish('t', '1').xAdd('t', '*', { data: '2' }).publish('t', '3').exec(),
      bad: () => client.multi().publish('t', 'lost').publish('', 'x').publish('t', 'lost').exec(),
      pipeline: () => Promise.all([client.publish('t', '4'), client.publish('t', '5')]),
      script: () => client.eval(BROADCAST, { arguments: ['6', 't', 'other'] }),
      quit: () => client.close(),
    };
  },
};

const client = await clients[name]();
for (const step of ['multi', 'bad', 'pipeline', 'script']) {
  const given = await client[step]().then(
    (value) => ({ value }),
    (error) => ({ error: error.message }),
  );
  say({ step, ...given });
}
await client.quit();
