// How the Rust tests and these scripts talk: one JSON object a line, orders on standard input, reports on standard output.

import { createInterface } from 'node:readline';

export function say(report) {
  process.stdout.write(`${JSON.stringify(report)}\n`);
}

// Calls `obey` with every order; ends with the process when the test closes our standard input.
export async function orders(obey) {
  for await (const line of createInterface({ input: process.stdin })) {
    await obey(JSON.parse(line));
  }
}
