import { createParser as createOracle } from 'eventsource-parser';
import { describe, expect, it } from 'vitest';
import { createParser, type Block } from '../src/parser.ts';

/** Everything that the parser says of these pieces of text, in order. */
function parse(pieces: string[], charsMax?: number): unknown[] {
  const said: unknown[] = [];
  const feed = createParser(
    {
      block: (block: Block) => said.push(block),
      retry: (milliseconds) => said.push(milliseconds),
      comment: (text) => said.push(`:${text}`),
    },
    charsMax,
  );
  for (const piece of pieces) feed(piece);
  return said;
}

describe('the parser', () => {
  it('reads the fields of a block', () => {
    const text = ': heartbeat 15000\nretry: 2000\nid: 1\n\ntopic: news\nid:2\nevent: created\ndata: a\ndata\ndata:  b\n\n';
    expect(parse([text])).toEqual([
      ':heartbeat 15000',
      2000,
      { id: '1', topics: [] },
      { id: '2', event: 'created', data: 'a\n\n b', topics: ['news'] },
    ]);
  });

  it('reads a topic that is written as a string of JSON', () => {
    const said = parse(['topic: "a\\u000ab"\ntopic: "\ntopic: a"b\ndata: 1\n\n']) as Block[];
    expect(said.map(({ topics }) => topics)).toEqual([['a\nb', '"', 'a"b']]);
  });

  it('keeps every topic of a block, and none of the block before', () => {
    const said = parse(['topic: a\ntopic: b\ndata: 1\n\ndata: 2\n\n']) as Block[];
    expect(said.map(({ topics }) => topics)).toEqual([['a', 'b'], []]);
  });

  it('tells a retry before its block ends, because a shed stream ends there', () => {
    expect(parse(['retry: 7\n'])).toEqual([7]);
  });

  it('ignores what the standard ignores', () => {
    expect(parse(['id: a\0b\nretry: 1x\nunknown\nDATA: x\n\nevent: lonely\n\ndata: unfinished\n'])).toEqual([]);
  });

  it('takes an empty id for the end of the cursor, and an empty event for none', () => {
    expect(parse(['id\nevent:\ndata:\n\n'])).toEqual([{ id: '', data: '', topics: [] }]);
  });

  it('refuses an event above its limit, in one line or in many', () => {
    expect(() => parse(['data: ', 'x'.repeat(50), 'x'.repeat(50)], 100)).toThrow(RangeError);
    expect(() => parse(Array.from({ length: 20 }, () => 'topic: some\n'), 80)).toThrow(RangeError);
    expect(() => parse(Array<string>(30).fill('data: xx\n'), 80)).toThrow('more than 80 characters');
    expect(parse(Array<string>(30).fill('data: xx\n\n'), 80)).toHaveLength(30);
  });

  it('says the same as eventsource-parser on random texts, however they are cut', () => {
    const words = ['data: a', 'id: 1', 'event: e', 'data', 'event', 'id', 'retry', ':', ': ', 'x', '7', '\n', '\r', '\r\n', '\n\n', ' ', '\0', 'ü'];
    const seed = Number(process.env['PARSER_SEED'] ?? Date.now());
    let state = seed >>> 0;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    for (let run = 0; run < 3_000; run++) {
      const text = Array.from({ length: random(30) }, () => words[random(words.length)]).join('') + '\n\n';
      const expected: unknown[] = [];
      const oracle = createOracle({
        onEvent: ({ id: eventId, event, data }) => expected.push(['event', eventId, event, data]),
        onId: (eventId) => expected.push(['id', eventId]),
        onRetry: (milliseconds) => expected.push(['retry', milliseconds]),
      });
      oracle.feed(text);
      const cuts = Array.from({ length: random(4) }, () => random(text.length)).sort((a, b) => a - b);
      const pieces = [0, ...cuts].map((from, index) => text.slice(from, cuts[index] ?? text.length));
      const said: unknown[] = [];
      const feed = createParser({
        block({ id: blockId, event, data }) {
          if (blockId !== undefined) said.push(['id', blockId]);
          if (data !== undefined) said.push(['event', blockId, event, data]);
        },
        retry: (milliseconds) => said.push(['retry', milliseconds]),
        comment: () => {},
      });
      for (const piece of pieces) feed(piece);
      expect(said, `PARSER_SEED=${seed}, run ${run}: ${JSON.stringify(pieces)}`).toEqual(expected);
    }
  });

  it.each(['\n', '\r', '\r\n'])('reads lines that end with %j, wherever they are cut', (end) => {
    const text = ['id: 1', 'data: a', 'data: b', '', 'data: c', '', ''].join(end);
    for (let cut = 1; cut < text.length; cut++) {
      expect(parse([text.slice(0, cut), text.slice(cut)]), `cut at ${cut}`).toEqual([
        { id: '1', data: 'a\nb', topics: [] },
        { data: 'c', topics: [] },
      ]);
    }
  });

  it('keeps a topic whose line is cut anywhere', () => {
    const text = 'id: 1\ntopic: news\ndata: x\n\n';
    for (let cut = 1; cut < text.length; cut++) {
      expect(parse([text.slice(0, cut), text.slice(cut)]), `cut at ${cut}`).toEqual([
        { id: '1', data: 'x', topics: ['news'] },
      ]);
    }
  });
});
