/**
 * What a test starts ends with it, in the reverse order, when it fails, too.
 */
import { afterEach } from 'vitest';

const started: { close(): unknown }[] = [];

afterEach(async () => {
  const failures: unknown[] = [];
  for (const each of started.splice(0).reverse()) {
    try {
      await each.close();
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length) throw failures[0];
});

/** Waits for it, and closes it after the test. */
export async function ending<T extends { close(): unknown }>(starting: Promise<T> | T): Promise<T> {
  const each = await starting;
  started.push(each);
  return each;
}
