//! Carrying: a connection between two commands is taken apart for a freeze, and put together again,
//! here or in another process.

use std::sync::Arc;

use tokio::net::TcpStream;
use tracing::warn;

use super::{Connection, ends};
use crate::ingest::carried::Carried;
use crate::ingest::client::{About, Before};
use crate::ingest::deadline::Waits;
use crate::ingest::users::Proof;
use crate::ingest::{Port, socket};
use crate::metrics::IngestEnd;
use crate::once_a_minute::OnceAMinute;

/// Bounds the log lines of connections that the system does not watch.
static NOT_WATCHED: OnceAMinute = OnceAMinute::new();

impl Connection {
    /// Takes it apart, between two commands; `None` if the system refuses.
    pub(super) fn into_carried(self) -> Option<Carried> {
        let client = &self.session.client;
        let user = self.session.user.as_ref();
        let (age, idle) = client.ages();
        let (stranger, unfinished) = self.waits.waited();
        let about = std::mem::take(&mut *client.about.lock());
        let carried = Carried {
            user: user.and_then(|user| self.port.users.carry(user, &self.port.proof_key)),
            unread: self.input.to_vec(),
            id: client.id,
            resp3: self.reply.resp3(),
            muted: self.reply.muted(),
            name: about.name,
            library: about.library,
            library_version: about.library_version,
            age,
            idle,
            stranger,
            unfinished,
            socket: self.stream.into_std().ok()?.into(),
        };
        drop(self.listed);
        Some(carried)
    }

    /// Goes on with a connection that was put aside, here or elsewhere; `None` if its client is
    /// gone, or may no longer be who it was.
    pub(in crate::ingest) fn resume(
        carried: Carried,
        port: &Arc<Port>,
        proof_key: &Proof,
    ) -> Option<Self> {
        let user = match &carried.user {
            None => port.users.anonymous(),
            Some(user) => {
                let Some(known) = port.users.recognize(user, proof_key) else {
                    port.count_end(IngestEnd::UserChanged);
                    return None;
                };
                Some(known)
            }
        };
        let stream = std::net::TcpStream::from(carried.socket);
        let watched = stream
            .set_nonblocking(true)
            .and_then(|()| TcpStream::from_std(stream));
        let stream = match watched {
            Ok(stream) => stream,
            Err(error) => {
                port.count_end(IngestEnd::SystemError);
                if let Some(left_out) = NOT_WATCHED.due() {
                    warn!(
                        target: "fantail::ingest",
                        left_out,
                        %error,
                        "a connection was ended, since the system does not watch it; see `fs.epoll.max_user_watches`"
                    );
                }
                return None;
            }
        };
        let address = stream.peer_addr().ok()?;
        socket::configure(&stream, port.timeouts.write);
        let is_stranger = user.is_none();
        let before = Before {
            id: carried.id,
            age: carried.age,
            idle: carried.idle,
            about: About {
                name: carried.name,
                library: carried.library,
                library_version: carried.library_version,
                user: String::new(),
                resp3: carried.resp3,
            },
        };
        let ends = ends(&stream, address);
        let client = port.clients.adopt(ends, before, is_stranger);
        let (stranger, unfinished) = (carried.stranger, carried.unfinished);
        let waits = Waits::carried(port.timeouts, is_stranger, stranger, unfinished);
        let mut connection = Self::new(stream, port, client, user, waits);
        connection.input.extend_from_slice(&carried.unread);
        connection.reply.set_resp3(carried.resp3);
        connection.reply.set_muted(carried.muted);
        connection.charge_held();
        Some(connection)
    }
}
