/** Waits for a condition with a deadline. Returns what fulfilled it. A function as `name` tells what it saw last. */
export async function until<T>(
  what: () => Promise<T> | T,
  name: string | (() => string),
  deadlineMs = 20_000,
): Promise<NonNullable<T>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await what();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${typeof name === 'string' ? name : name()}`);
    await new Promise((resolve) => setTimeout(resolve, 30));
  }
}
