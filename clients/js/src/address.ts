/**
 * Addresses of a server's calls, and how many topics fit into one of them.
 */
import type { Config } from './options.ts';

/** Bytes of the query of one address. Many proxies refuse a request line above 8 KiB. */
const QUERY_BYTES_MAX = 7_000;

/** A node's default for patterns (`patterns_per_stream_max`). */
const PATTERNS_MAX = 20;

/** A selector with a wildcard for whole segments (docs/PROTOCOL.md, "Selectors"). */
export function isPattern(selector: string): boolean {
  return /(^|\/)\*(\/|$)|(^|\/)\*\*$/.test(selector);
}

/** Whether a selector with wildcards, or a name, matches a topic. Knows nothing of URI templates. */
export function matches(selector: string, topic: string): boolean {
  if (selector === topic || selector === '*') return true;
  if (!isPattern(selector)) return false;
  const parts = selector.split('/');
  const segments = topic.split('/');
  const rest = parts.at(-1) === '**' ? parts.pop() : undefined;
  return (
    (rest
      ? segments.length > parts.length && segments.slice(parts.length).join('/') !== ''
      : segments.length === parts.length) &&
    parts.every((part, index) => (part === '*' ? segments[index] !== '' : part === segments[index]))
  );
}

/** Whether one stream may have all these topics. */
export function fits(config: Config, topics: readonly string[]): boolean {
  return (
    topics.length <= config.topicsPerStream &&
    topics.filter(isPattern).length <= PATTERNS_MAX &&
    streamUrl(config, topics).search.length <= QUERY_BYTES_MAX
  );
}

/** The address of a stream. */
export function streamUrl({ url, server, native }: Config, topics: readonly string[]): URL {
  const address = new URL(server === 'fantail' ? 'events' : url, url);
  for (const topic of topics) address.searchParams.append('topic', topic);
  // An EventSource cannot read the field.
  if (server === 'fantail' && !native) address.searchParams.set('with', 'topic');
  return address;
}

/** The address to publish at. */
export function publishUrl({ url, server }: Config): URL {
  return server === 'fantail' ? new URL('publish', url) : url;
}
