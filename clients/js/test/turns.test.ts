/** A page that is slower than its stream. */
import { expect, it } from 'vitest';
import { createClient } from '../src/index.ts';

const EVENTS = 100;

/** An answer that is there as a whole, in many pieces. */
function manyPieces(): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let number = 0; number < EVENTS; number++) controller.enqueue(encoder.encode(`id: ${number}\ndata: ${number}\n\n`));
    },
  });
  return new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
}

function beBusy(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

it('lets timers run while events wait that are there already', async () => {
  const client = createClient({ url: 'http://127.0.0.1/stream', fetch: async () => manyPieces() });
  const heard: string[] = [];
  let heardAtTimer: number | undefined;
  await new Promise<void>((resolve) => {
    client.subscribe([], {
      message(text) {
        if (!heard.length) setTimeout(() => (heardAtTimer = heard.length));
        heard.push(text);
        beBusy(5);
        if (heard.length === EVENTS) resolve();
      },
    });
  });
  expect(heard).toEqual(Array.from({ length: EVENTS }, (_, number) => String(number)));
  expect(heardAtTimer).toBeLessThan(EVENTS);
  client.close();
});
