/**
 * A track without a network: its own requests are played by the test.
 */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ConnectionSink, Runtime, StreamInfo } from '../../src/connection.ts';
import { checkOptions } from '../../src/options.ts';
import type { Block } from '../../src/parser.ts';
import type { StreamState } from '../../src/share/messages.ts';
import { createTrack, type Track } from '../../src/share/track.ts';
import { JOINED } from '../../src/subscriptions.ts';
import { id } from '../support/setup.ts';

/** The requests of the track, in their order. */
const requests = vi.hoisted((): { sink: ConnectionSink; from: string | undefined; streams: StreamInfo[]; closed: boolean }[] => []);

vi.mock('../../src/own.ts', () => ({
  connectOwn(_: Runtime, sink: ConnectionSink, { from }: { from: string | undefined }) {
    const request = { sink, from, streams: [] as StreamInfo[], closed: false };
    requests.push(request);
    return {
      want() {},
      status: () => ({ state: 'open', since: 1, role: 'own' }),
      cursor: () => undefined,
      restart() {},
      close: () => void (request.closed = true),
      inspect: () => request.streams,
    };
  },
}));

afterEach(() => void requests.splice(0));

/** A track of a tab that had everything up to `from`, and the numbers that it has handed over since. */
function open(topics: string[], from: number): { track: Track; heard: string[] } {
  const config = checkOptions({ url: 'http://127.0.0.1:1/', share: 'user 7' });
  const track = createTrack({ config } as unknown as Runtime, JOINED, { send() {}, changed() {}, away: () => false });
  const heard: string[] = [];
  track.attach({ block: ({ data }) => void (data && heard.push(data)), changed() {} }, id(from));
  track.topics = topics;
  return { track, heard };
}

const event = (number: number, topic = 'a'): Block => ({ id: id(number), data: String(number), topics: [topic] });

/** One stream, as the track's own connection has it. */
const at = (number: number): StreamInfo => ({
  stream: 1,
  topics: [],
  cursor: id(number),
  nodeId: id(number),
  status: { state: 'idle' },
  blocks: 0,
  remembered: 0,
});

/** The newest request brings these, and its only stream goes on with them. */
function bring(...blocks: Block[]): void {
  const request = requests.at(-1)!;
  for (const block of blocks) {
    request.streams = [{ ...at(0), cursor: block.id, nodeId: block.id }];
    request.sink.block(block, []);
  }
}

const told = (start: number, last: number, open: string[]): StreamState => ({
  status: { state: 'open', since: 1, role: 'own' },
  open,
  since: 1,
  place: { cursor: id(last), safe: id(last) },
  start: id(start),
  split: false,
});

function lead(track: Track, last: number, topic = 'a'): void {
  track.blocks([[event(last, topic), []]], { cursor: id(last), safe: id(last) });
}

describe('a tab that follows', () => {
  it('is handed the topics that it wants, of all that the leader sends', () => {
    const { track, heard } = open(['a'], 4);
    track.beat(told(4, 4, ['a', 'b']), true, true);
    lead(track, 5, 'b');
    lead(track, 6);
    expect(heard).toEqual(['6']);
  });

  it('keeps to the place where the leader\'s blocks began, until it has got there', () => {
    const { track, heard } = open(['a'], 1);
    track.beat(told(5, 5, ['a']), true, true);
    expect(requests[0]?.from).toBe(id(1));
    lead(track, 6);
    // The leader has gone on, and says so.
    track.beat(told(6, 6, ['a']), true, false);
    bring(event(3), event(5));
    expect([heard, requests[0]?.closed]).toEqual([['3', '5', '6'], true]);
  });

  it('begins at another place of the leader\'s if it has got there by now', () => {
    const { track, heard } = open(['a'], 1);
    track.beat({ ...told(5, 5, ['a']), start: undefined }, true, true);
    bring(event(3));
    expect(requests[0]?.closed).toBe(false);
    track.beat(told(3, 3, ['a']), true, false);
    expect([heard, requests[0]?.closed]).toEqual([['3'], true]);
  });

  it('reads for itself until the leader has the topics that were added meanwhile', () => {
    const { track, heard } = open(['a'], 1);
    track.beat(told(5, 5, ['a']), true, true);
    track.topics = ['a', 'b'];
    bring(event(4), event(5));
    expect(requests[0]?.closed).toBe(false);
    bring(event(6, 'b'));
    track.beat(told(6, 6, ['a', 'b']), true, false);
    lead(track, 7, 'b');
    expect([heard, requests[0]?.closed]).toEqual([['4', '5', '6', '7'], true]);
  });
});

describe('a tab that reads several streams for itself', () => {
  it('expects what one of them repeats, whatever place another one is at', () => {
    const { track, heard } = open(['a', 'b'], 0);
    track.alone();
    const [first] = requests;
    first!.streams = [at(9), at(1)];
    first!.sink.block(event(1, 'b'), []);
    first!.sink.block(event(9), []);
    track.stop();
    track.alone();
    expect(requests[1]?.from).toBe(id(1));
    requests[1]!.streams = [at(1), at(12)];
    requests[1]!.sink.block({ id: id(12), topics: [] }, []);
    requests[1]!.sink.block(event(9), []);
    expect(heard).toEqual(['1', '9']);
  });
});
