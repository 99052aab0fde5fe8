/**
 * One event, published over HTTP.
 */
import { publishUrl } from './address.ts';
import type { Runtime } from './connection.ts';
import { FantailError } from './errors.ts';
import { checkTopics } from './options.ts';
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
  const { event, id, signal } = options;
  const mercure = config.server === 'mercure';
  if (config.server === 'plain') throw new TypeError('`publish` needs a node or a Mercure hub as `url`');
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  if (text === undefined) throw new TypeError('`data` must be a text or what JSON can hold');

  let body: BodyInit;
  if (mercure) {
    const form = new URLSearchParams(topics.map((each) => ['topic', each]));
    form.set('data', text);
    if (id) form.set('id', id);
    if (event) form.set('type', event);
    if (options.private) form.set('private', 'on');
    body = form;
  } else {
    body = JSON.stringify({
      topics,
      data: typeof data === 'string' ? data : JSON.parse(text),
      event,
      id,
      private: options.private,
    });
  }

  const abort = new AbortController();
  const stop = (): void => abort.abort(signal?.aborted ? signal.reason : closing.reason);
  for (const each of [signal, closing]) {
    if (each?.aborted) stop();
    each?.addEventListener('abort', stop);
  }
  try {
    for (let refused = false; ; refused = true) {
      const token = await tokens.get();
      const headers = await requestHeaders(config, token);
      if (!mercure) headers.set('Content-Type', 'application/json');
      abort.signal.throwIfAborted();
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
    throw new FantailError('network', `the event may or may not be published: ${String(cause)}`, { cause });
  } finally {
    for (const each of [signal, closing]) each?.removeEventListener('abort', stop);
  }
}
