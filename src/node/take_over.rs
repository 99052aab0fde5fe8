//! The start of a node that takes over the state of the former program of its process.

use std::fs::File;
use std::net::TcpListener;

use crate::admin::{UpgradeReport, Upgrades};
use crate::clock::unix_ms;
use crate::hub::{Hub, HubConfig, Room};
use crate::settings::Settings;
use crate::state::{KeySetRecord, NodeRecord, Port};
use crate::{ingest, server};

use super::inherited::{Activated, Inherited, Listening};
use super::sockets::can_bind;
use super::upgrade::{Handover, http_from, proof, resp_from};
use super::{Addresses, ServerError};

/// A state, as the node takes it over piece by piece.
pub(super) struct TakeOver {
    handover: Handover,
    /// The listeners whose addresses are still those in the settings.
    inherited: Inherited,
    streams: usize,
    events: usize,
    connections: usize,
}

impl TakeOver {
    /// Takes over the listeners whose addresses in the settings are the same as before. The others
    /// are closed.
    pub(super) fn new(mut handover: Handover, settings: &Settings) -> Self {
        let mut inherited = Inherited::default();
        let activated = Activated::of_process();
        let former: Vec<_> = handover.addresses().map(|(_, address)| address).collect();
        for (record, socket) in std::mem::take(&mut handover.listeners) {
            let is_shared = activated.has(record.port);
            let (listener, address) = match record.port {
                Port::Public => (&mut inherited.http, settings.listen),
                Port::Ingest => (&mut inherited.ingest, settings.ingest_listen),
                Port::Admin => (&mut inherited.admin, settings.admin_listen),
            };
            let is_same = is_shared || record.address == address;
            // It was free a moment ago, or is that of another listener, which gives it up. A node on
            // its former address is better than none.
            let bound = if is_same || former.contains(&address) {
                Ok(())
            } else {
                can_bind(address, settings.reuse_port)
            };
            if let Err(error) = &bound {
                let former = record.address;
                tracing::error!(%address, %former, "cannot listen on a new address, so the former one stays: {error}");
            }
            if is_same || bound.is_err() {
                *listener = Some(Listening {
                    socket: TcpListener::from(socket),
                    address,
                    is_shared,
                    is_handed_over: true,
                });
            }
        }
        Self {
            handover,
            inherited,
            streams: 0,
            events: 0,
            connections: 0,
        }
    }

    pub(super) fn inherited(&mut self) -> Inherited {
        std::mem::take(&mut self.inherited)
    }

    /// The lock of the former program's state directory.
    pub(super) fn state_lock(&mut self) -> Option<File> {
        self.handover.state_lock.take().map(File::from)
    }

    /// The key sets that the former program had fetched.
    pub(super) fn key_sets(&mut self) -> Vec<KeySetRecord> {
        std::mem::take(&mut self.handover.key_sets)
    }

    /// What the former program said of the node as a whole.
    pub(super) fn node(&self) -> &NodeRecord {
        &self.handover.node
    }

    /// The hub with all streams.
    pub(super) async fn hub(&mut self, config: HubConfig, room: Room) -> Result<Hub, ServerError> {
        let desk = std::mem::take(&mut self.handover.desk);
        let totals = self.handover.totals();
        let hub = Hub::start_from(config, room, desk, &totals)?;
        let streams = std::mem::take(&mut self.handover.streams);
        let seating = hub.restore_streams(streams)?;
        self.streams = seating.len();
        self.events = hub.history_size().events;
        hub.seat_all(seating).await;
        Ok(hub)
    }

    /// Adds the connections of the public listener or of the admin listener.
    pub(super) fn http(&mut self, port: Port, listening: &mut server::Listening) {
        let all = std::mem::take(&mut self.handover.http).into_iter();
        let (own, others): (Vec<_>, _) = all.partition(|(record, _)| record.port == port);
        self.handover.http = others;
        self.connections += own.len();
        let own = own.into_iter();
        let own = own.map(|(record, socket)| http_from(record, socket));
        listening.connections.extend(own);
    }

    /// Adds the connections of the ingest port.
    pub(super) fn resp(&mut self, listening: &mut ingest::Listening) {
        let all = std::mem::take(&mut self.handover.resp);
        self.connections += all.len();
        let all = all.into_iter();
        let all = all.map(|(record, socket)| resp_from(record, socket));
        listening.connections.extend(all);
        listening.accepted = self.handover.node.resp_accepted;
        listening.proof_key = proof(&self.handover.node.resp_proof_key);
    }

    /// Says that the node has taken over.
    pub(super) fn report(self, addresses: Addresses, upgrades: &Upgrades) {
        let node = self.handover.node;
        let pause_ms = unix_ms().saturating_sub(node.written_unix_ms);
        let report = UpgradeReport {
            number: node.generation,
            failed: None,
            from: node.program.into(),
            to: env!("CARGO_PKG_VERSION").to_owned(),
            streams: self.streams,
            events: self.events,
            connections: self.connections,
            pause_ms,
        };
        let Addresses {
            http,
            ingest,
            admin,
        } = addresses;
        tracing::info!(
            from = report.from,
            version = report.to,
            streams = report.streams,
            events = report.events,
            connections = report.connections,
            pause_ms,
            closed = self.handover.closed,
            %http,
            %ingest,
            %admin,
            "upgraded: this program has taken over"
        );
        upgrades.change(|status| {
            status.attempts = report.number;
            status.last = Some(report);
        });
    }
}
