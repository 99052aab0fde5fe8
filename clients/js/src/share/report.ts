/** A stream in one message, as the leader has it and as the others show it. */
import { IDLE, type Connection } from '../connection.ts';
import { FantailError, type ErrorCode } from '../errors.ts';
import type { Status } from '../types.ts';
import type { PackedStatus, StreamState } from './messages.ts';
import { startOf, type Place } from './places.ts';

export function reportOf(connection: Connection | undefined, place: Place): StreamState {
  const streams = connection?.inspect() ?? [];
  const all = connection?.status() ?? IDLE;
  let since = 0;
  const open = [...new Set(streams.flatMap(({ topics }) => topics))].filter((topic) => {
    const one = connection?.status([topic]);
    if (one?.state !== 'open') return false;
    since = one.since;
    return true;
  });
  if (all.state === 'open') since = all.since;
  return {
    status: pack(all),
    open,
    since,
    place,
    start: streams.length ? startOf(streams) : place.cursor,
    split: streams.length > 1,
  };
}

/** Errors that are sent lose what they are, so they travel as plain data. */
function pack(status: Status): PackedStatus {
  const why = 'why' in status && status.why;
  if (!(why instanceof FantailError)) return status;
  return { ...status, why: { ...why, message: why.message } } as PackedStatus;
}

export function unpack(status: PackedStatus): Status {
  const why = 'why' in status && (status.why as FantailError | string);
  if (!why || typeof why === 'string') return status as Status;
  return { ...status, why: new FantailError(why.code as ErrorCode, why.message, why) } as Status;
}
