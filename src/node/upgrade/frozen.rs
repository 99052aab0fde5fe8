//! A node whose listeners are frozen: its state, and its sockets.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;

use crate::hub::Frozen;
use crate::server;
use crate::state::{ListenerRecord, NodeRecord, Port, Writer};

use super::super::Node;
use super::super::state_dir::Keeper;
use super::counts::Counts;
use super::error::UpgradeError;
use super::{connections, descriptors};

impl Node {
    /// Waits for the requests in hand, a bounded time.
    pub(super) async fn settle_listeners(&self) {
        let listeners = &self.listeners;
        tokio::join!(
            listeners.public.settle(),
            listeners.ingest.settle(),
            listeners.admin.settle(),
        );
    }

    pub(super) async fn freeze_listeners(&mut self) -> Result<(), UpgradeError> {
        let listeners = &mut self.listeners;
        let (public, ingest, admin) = tokio::join!(
            listeners.public.freeze(),
            listeners.ingest.freeze(),
            listeners.admin.freeze(),
        );
        public.and(ingest).and(admin)?;
        Ok(())
    }

    pub(super) fn thaw_listeners(&self) {
        self.listeners.public.thaw();
        self.listeners.ingest.thaw();
        self.listeners.admin.thaw();
    }

    /// Writes the state of a frozen node, and counts its records.
    pub(super) fn write<W: io::Write>(
        &self,
        mut record: NodeRecord,
        frozen: &Frozen,
        out: &mut Writer<W>,
        counts: &mut Counts,
    ) -> io::Result<()> {
        let [public, ingest, admin] = self.configured;
        let listeners = &self.listeners;
        listeners.ingest.frozen(|listening| {
            record.resp_accepted = listening.accepted;
            record.resp_proof_key = listening.proof_key.to_vec().into();
        });
        if let Some(log) = self.hub.log() {
            record.roster = Some(log.roster_name());
            record.log_print = log.print_of(self.hub.head());
        }
        record.state_lock = self.state_lock().map(connections::number);
        out.node(&record)?;
        let left = |listening: &server::Listening| listening.left;
        let left = [&listeners.public, &listeners.admin].map(|it| it.frozen(left).unwrap_or(0));
        let ingest_left = listeners.ingest.frozen(|listening| listening.left);
        let mut totals = self.hub.totals();
        totals.add_left(left[0], ingest_left.unwrap_or(0), left[1]);
        for (name, value) in totals.iter() {
            out.counter(name, value)?;
        }
        for record in self.keys.fetched() {
            out.key_set(&record.url, &record.text)?;
        }
        frozen.write(out, |record| counts.add(record))?;
        counts.streams = frozen.streams();
        let (mut sockets, mut http, mut resp) = (Vec::new(), Vec::new(), Vec::new());
        listeners.public.frozen(|listening| {
            sockets.push(listener_record(Port::Public, &listening.socket, public));
            http.extend(connections::http(listening, Port::Public));
        });
        listeners.admin.frozen(|listening| {
            sockets.push(listener_record(Port::Admin, &listening.socket, admin));
            http.extend(connections::http(listening, Port::Admin));
        });
        listeners.ingest.frozen(|listening| {
            sockets.push(listener_record(Port::Ingest, &listening.socket, ingest));
            resp.extend(connections::resp(listening));
        });
        counts.connections = http.len() + resp.len();
        for record in &sockets {
            out.listener(record)?;
        }
        for record in &http {
            out.http(record)?;
        }
        for record in &resp {
            out.resp(record)?;
        }
        Ok(())
    }

    fn state_lock(&self) -> Option<&File> {
        self.keeper.as_ref().map(Keeper::lock)
    }

    /// Lets the next program have the descriptors of a frozen node, or keeps them from it.
    pub(super) fn set_inherited(&self, frozen: &Frozen, is_inherited: bool) -> io::Result<()> {
        let lock = self.state_lock().map(AsFd::as_fd);
        descriptors::set_inherited(lock, is_inherited)?;
        let listeners = &self.listeners;
        for listener in [&listeners.public, &listeners.admin] {
            let set = listener.frozen(|listening| {
                let sockets = connections::sockets_of_http(listening);
                descriptors::set_inherited(sockets, is_inherited)
            });
            set.transpose()?;
        }
        let set = listeners.ingest.frozen(|listening| {
            let sockets = connections::sockets_of_resp(listening);
            descriptors::set_inherited(sockets, is_inherited)
        });
        set.transpose()?;
        descriptors::set_inherited(frozen.sockets(), is_inherited)
    }
}

fn listener_record(port: Port, socket: &TcpListener, address: SocketAddr) -> ListenerRecord {
    ListenerRecord {
        port,
        descriptor: connections::number(socket),
        address,
    }
}
