/**
 * One event, published over HTTP.
 */
import { unless } from './abort.ts';
import { publishUrl } from './address.ts';
import type { Runtime } from './connection.ts';
import { FantailError } from './errors.ts';
import { checkPage, checkTopics } from './options.ts';
import { errorOf, requestHeaders } from './transport/fetch.ts';
import type { PublishOptions, Receipt } from './types.ts';

export async function publish(
  { config, tokens }: Runtime,
  topic: string | readonly string[],
  data: unknown,
  options: PublishOptions,
  closing: AbortSignal,
): Promise<Receipt> {
  const topics = checkTopics(topic);
  const { event, id, key, signal } = options;
  const mercure = config.server === 'mercure';
  checkPage(config);
  if (config.server === 'plain') throw new TypeError('`publish` needs a node or a Mercure hub as `url`');
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  if (text === undefined) throw new TypeError('`data` must be a text or what JSON can hold');
  // An event is never sent without the key that makes its repeat safe.
  if (key !== undefined && !/^[ -~]{1,255}$/.test(key)) throw new TypeError('`key` must be 1 to 255 printable ASCII characters');

  let body: BodyInit;
  if (mercure) {
    const form = new URLSearchParams(topics.map((each) => ['topic', each]));
    form.set('data', text);
    if (id) form.set('id', id);
    if (event) form.set('type', event);
    if (options.private) form.set('private', 'on');
    body = form;
  } else {
    // A member: a node that knows no keys refuses it, and would pass over a header.
    body = JSON.stringify({ topics, data, event, id, private: options.private, key });
  }

  const signals = [closing, signal];
  for (const each of signals) each?.throwIfAborted();
  const abort = new AbortController();
  const stop = ({ target }: { target: unknown }): void => abort.abort((target as AbortSignal).reason);
  for (const each of signals) each?.addEventListener('abort', stop);
  try {
    for (let refused = false; ; refused = true) {
      const token = await unless(abort.signal, tokens.get);
      const headers = await unless(abort.signal, () => requestHeaders(config, token));
      if (!mercure) headers.set('Content-Type', 'application/json');
      else if (key !== undefined) headers.set('Idempotency-Key', `"${key.replace(/["\\]/g, '\\$&')}"`);
      const response = await config.fetch(publishUrl(config).href, {
        method: 'POST',
        headers,
        body,
        signal: abort.signal,
        credentials: config.credentials,
      });
      if (response.ok) {
        if (mercure) return { id: await response.text(), subscribers: undefined };
        const { id: assigned, subscribers } = (await response.json()) as Receipt;
        return { id: assigned, subscribers };
      }
      const error = await errorOf(response, abort.signal);
      if (error.status !== 401 || refused || !tokens.refused(token)) throw error;
    }
  } catch (cause) {
    if (cause instanceof FantailError || abort.signal.aborted) throw cause;
    throw new FantailError('network', `the event may or may not be published: ${cause}`, { cause });
  } finally {
    for (const each of signals) each?.removeEventListener('abort', stop);
  }
}
