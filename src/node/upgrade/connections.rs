//! Connections that are no streams, as records and back.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use crate::ingest::{self, CarriedUser, Muted, Proof};
use crate::server;
use crate::state::{HttpRecord, MutedReplies, Port, RespRecord, RespUserRecord};

/// The connections of a frozen listener for HTTP.
pub(super) fn http(listening: &server::Listening, port: Port) -> Vec<HttpRecord> {
    let records = listening.connections.iter().map(|carried| HttpRecord {
        port,
        descriptor: number(&carried.socket),
        read_ahead: carried.unread.to_vec().into(),
        asked: carried.asked,
        waited_ms: ms(carried.waited),
    });
    records.collect()
}

/// The connections of the frozen ingest listener.
pub(super) fn resp(listening: &ingest::Listening) -> Vec<RespRecord> {
    let records = listening.connections.iter().map(|carried| RespRecord {
        descriptor: number(&carried.socket),
        id: carried.id,
        user: carried.user.as_ref().map(|user| RespUserRecord {
            name: user.name.as_str().into(),
            proof: user.proof.to_vec().into(),
        }),
        resp3: carried.resp3,
        muted: match carried.muted {
            None => MutedReplies::None,
            Some(Muted::All) => MutedReplies::All,
            Some(Muted::Next) => MutedReplies::Next,
        },
        name: carried.name.as_str().into(),
        library: carried.library.as_str().into(),
        library_version: carried.library_version.as_str().into(),
        read_ahead: carried.unread.as_slice().into(),
        age_ms: ms(carried.age),
        idle_ms: ms(carried.idle),
        stranger_ms: carried.stranger.map(ms),
        unfinished_ms: carried.unfinished.map(ms),
    });
    records.collect()
}

/// A connection for a listener for HTTP.
pub(in crate::node) fn http_from(record: HttpRecord, socket: OwnedFd) -> server::Carried {
    let waited = Duration::from_millis(record.waited_ms);
    server::Carried::new(socket, record.read_ahead.into_vec(), record.asked, waited)
}

/// A connection for the ingest listener. A proof of another form is that of another password.
pub(in crate::node) fn resp_from(record: RespRecord, socket: OwnedFd) -> ingest::Carried {
    ingest::Carried {
        socket,
        unread: record.read_ahead.into_vec(),
        id: record.id,
        user: record.user.map(|user| CarriedUser {
            name: user.name.into(),
            proof: proof(&user.proof),
        }),
        resp3: record.resp3,
        muted: match record.muted {
            MutedReplies::None => None,
            MutedReplies::All => Some(Muted::All),
            MutedReplies::Next => Some(Muted::Next),
        },
        name: record.name.into(),
        library: record.library.into(),
        library_version: record.library_version.into(),
        age: Duration::from_millis(record.age_ms),
        idle: Duration::from_millis(record.idle_ms),
        stranger: record.stranger_ms.map(Duration::from_millis),
        unfinished: record.unfinished_ms.map(Duration::from_millis),
    }
}

/// A proof, or the key of proofs.
pub(in crate::node) fn proof(bytes: &[u8]) -> Proof {
    bytes.try_into().unwrap_or_default()
}

/// All sockets of a frozen listener for HTTP.
pub(super) fn sockets_of_http(
    listening: &server::Listening,
) -> impl Iterator<Item = BorrowedFd<'_>> {
    let connections = listening.connections.iter();
    let connections = connections.map(|carried| carried.socket.as_fd());
    connections.chain([listening.socket.as_fd()])
}

/// All sockets of the frozen ingest listener.
pub(super) fn sockets_of_resp(
    listening: &ingest::Listening,
) -> impl Iterator<Item = BorrowedFd<'_>> {
    let connections = listening.connections.iter();
    let connections = connections.map(|carried| carried.socket.as_fd());
    connections.chain([listening.socket.as_fd()])
}

/// Number of a descriptor.
pub(super) fn number(descriptor: &impl AsRawFd) -> u32 {
    // The system gives no negative ones.
    u32::try_from(descriptor.as_raw_fd()).unwrap_or(u32::MAX)
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
