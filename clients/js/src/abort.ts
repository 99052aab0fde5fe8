/**
 * What an application answers in its own time.
 */

/** The answer to `call`, or the reason of `signal`, whichever is first. What `call` throws at once rejects. */
export async function unless<V>(signal: AbortSignal, call: () => V | Promise<V>): Promise<V> {
  signal.throwIfAborted();
  return Promise.race([
    (async () => call())(),
    new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  ]);
}
