//! A state that was handed over, with its descriptors.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use thiserror::Error;

use crate::core::delivery::StreamRecord;
use crate::core::desk::DeskRecord;
use crate::metrics::Totals;
use crate::state::{
    CounterRecord, HttpRecord, KeySetRecord, ListenerRecord, NodeRecord, Port, Reader, RespRecord,
    StateError, StateRecord,
};

use super::counts::Counts;
use super::descriptors::{DescriptorError, Kind, Unowned};
use super::memory_file;

/// Why a state cannot be taken over.
#[derive(Debug, Error)]
pub enum HandoverError {
    /// The file cannot be read.
    #[error("the state cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is not a state of this program.
    #[error("the state cannot be read: {0}")]
    State(#[from] StateError),
    /// It names descriptors that do not exist.
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    /// It has no record of the node.
    #[error("the state has no record of its node")]
    NoNode,
}

/// A state and its descriptors.
#[derive(Default)]
pub struct Handover {
    pub(in crate::node) node: NodeRecord,
    pub(in crate::node) state_lock: Option<OwnedFd>,
    pub(in crate::node) desk: Vec<DeskRecord>,
    pub(in crate::node) streams: Vec<(StreamRecord, OwnedFd)>,
    pub(in crate::node) counters: Vec<CounterRecord>,
    pub(in crate::node) key_sets: Vec<KeySetRecord>,
    pub(in crate::node) listeners: Vec<(ListenerRecord, OwnedFd)>,
    pub(in crate::node) http: Vec<(HttpRecord, OwnedFd)>,
    pub(in crate::node) resp: Vec<(RespRecord, OwnedFd)>,
    pub(super) counts: Counts,
    pub(super) digest: u32,
    /// Inherited sockets that were in no table.
    pub(in crate::node) closed: usize,
}

impl Handover {
    /// Takes over the state in a descriptor, and all descriptors in the state. Must be called before
    /// the program opens anything.
    ///
    /// # Errors
    /// [`HandoverError`]
    pub fn take(descriptor: u32) -> Result<Self, HandoverError> {
        let mut unowned = Unowned::list()?;
        let file = unowned.take(descriptor, Kind::File)?;
        let bytes = memory_file::read(file)?;
        let mut handover = Self {
            digest: crc32fast::hash(&bytes),
            ..Self::default()
        };
        let mut has_node = false;
        for record in Reader::new(&bytes)? {
            let record = record?;
            has_node |= matches!(record, StateRecord::Node(_));
            handover.add(record, &mut unowned)?;
        }
        if !has_node {
            return Err(HandoverError::NoNode);
        }
        handover.closed = unowned.close_sockets();
        Ok(handover)
    }

    /// Its counters.
    pub(in crate::node) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for CounterRecord { name, value } in &self.counters {
            totals.insert(name, *value);
        }
        totals
    }

    /// The listeners, and their addresses in the settings of the former program.
    pub fn addresses(&self) -> impl Iterator<Item = (Port, SocketAddr)> {
        let records = self.listeners.iter();
        records.map(|(record, _)| (record.port, record.address))
    }

    fn add(&mut self, record: StateRecord, unowned: &mut Unowned) -> Result<(), DescriptorError> {
        let mut connected = |number| unowned.take(number, Kind::Connected);
        match record {
            StateRecord::Node(node) => {
                let lock = node
                    .state_lock
                    .map(|number| unowned.take(number, Kind::File));
                self.state_lock = lock.transpose()?;
                self.node = node;
            }
            StateRecord::Desk(record) => {
                self.counts.add(&record);
                self.desk.push(record);
            }
            StateRecord::Stream(record) => {
                let socket = connected(record.descriptor)?;
                self.counts.streams += 1;
                self.streams.push((record, socket));
            }
            // Of a history file, which is no hand-over.
            StateRecord::History(_) => {}
            StateRecord::Counter(record) => self.counters.push(record),
            StateRecord::KeySet(record) => self.key_sets.push(record),
            StateRecord::Listener(record) => {
                let socket = unowned.take(record.descriptor, Kind::Listening)?;
                self.listeners.push((record, socket));
            }
            StateRecord::Http(record) => {
                let socket = connected(record.descriptor)?;
                self.counts.connections += 1;
                self.http.push((record, socket));
            }
            StateRecord::Resp(record) => {
                let socket = connected(record.descriptor)?;
                self.counts.connections += 1;
                self.resp.push((record, socket));
            }
        }
        Ok(())
    }
}
