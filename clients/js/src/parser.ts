/**
 * Text of an event stream to blocks (WHATWG HTML, section 9.2.6). Its own, because a stream is told
 * apart by the field `topic`: the package `eventsource-parser` discards a line of a field that it does
 * not know if a network read ends within it. The tests compare both on random cuts.
 */

import { jsonOf } from './decode.ts';

/** The fields up to an empty line. */
export interface Block {
  /** Without U+0000. Empty: the stream has no cursor from here on. */
  readonly id?: string | undefined;
  /** The event's name; empty counts as absent. */
  readonly event?: string | undefined;
  /** Absent: no event, only an id. */
  readonly data?: string | undefined;
  /** Values of the field `topic`, of which a node sends one for each topic that the stream matched. */
  readonly topics: readonly string[];
}

export interface ParserSink {
  block(block: Block): void;
  /** As soon as its line is complete: a stream may end without an empty line after it. */
  retry(milliseconds: number): void;
  comment(text: string): void;
}

/** Characters of one event, or of one line, beyond which a stream is refused: a node's largest is 64 MiB. */
const EVENT_CHARS_MAX = 2 ** 27;

/** A topic that could break its line is written as a string of JSON. */
function topicOf(value: string): string {
  return value[0] === '"' ? String(jsonOf(value) ?? value) : value;
}

/** Returns what takes the next piece of text. It throws a `RangeError` beyond `EVENT_CHARS_MAX`. */
export function createParser(sink: ParserSink, charsMax = EVENT_CHARS_MAX): (text: string) => void {
  /** Pieces of the line that is not complete. Joined once, so that a long line costs linear time. */
  let pieces: string[] = [];
  /** Characters in `pieces`. */
  let lineChars = 0;
  /** Characters in `data` and `topics`. */
  let chars = 0;
  /** The last piece ended with CR. An LF that follows belongs to the same line end. */
  let afterCr = false;
  let id: string | undefined;
  let event: string | undefined;
  let data: string[] = [];
  let topics: string[] = [];

  function line(text: string): void {
    if (!text) {
      if (id !== undefined || data.length) {
        sink.block({ id, event: event || undefined, data: data.length ? data.join('\n') : undefined, topics });
      }
      id = event = undefined;
      data = [];
      topics = [];
      chars = 0;
      return;
    }
    const colon = text.indexOf(':');
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + (text[colon + 1] === ' ' ? 2 : 1));
    if (field === 'data' || field === 'topic') {
      chars += value.length + 1;
      if (field === 'data') data.push(value);
      else topics.push(topicOf(value));
    } else if (field === 'event') event = value;
    else if (field === 'id') {
      if (!value.includes('\0')) id = value;
    } else if (field === 'retry') {
      if (/^\d+$/.test(value)) sink.retry(+value);
    } else if (!field) sink.comment(value);
  }

  return (text) => {
    if (!text) return;
    if (afterCr && text[0] === '\n') text = text.slice(1);
    afterCr = text.endsWith('\r');
    lineChars += text.length;
    const lines = text.split(/\r\n|\n|\r/);
    pieces.push(lines[0] as string);
    if (lines.length > 1) {
      lines[0] = pieces.join('');
      const rest = lines.pop() as string;
      pieces = [rest];
      lineChars = rest.length;
      for (const each of lines) line(each);
    }
    if (lineChars + chars > charsMax) throw new RangeError(`an event has more than ${charsMax} characters`);
  };
}
