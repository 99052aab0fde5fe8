//! Reads the rosters of all nodes, in portions.

use uuid::Uuid;

use crate::bridge::redis::{Beat, Connection, Error};
use crate::hub::log::{RosterPage, RosterPlace};
use crate::hub::presence::Listed;

/// Bytes that a portion is to have, about.
const PAGE_BYTES: usize = 512 << 10;

/// Lines of the first portion.
const FIRST_LINES: usize = 16;

/// Most lines of a portion.
const LINES_MAX: usize = 1_000;

/// A connection of its own: a list must not hold up those who wait for the newest entry.
pub(super) struct Reader {
    connection: Option<Connection>,
    /// Lines of the next portion.
    lines: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            connection: None,
            lines: FIRST_LINES,
        }
    }
}

impl Reader {
    /// Whether it is connected to this server.
    pub(super) fn is_of(&self, server: u64) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.server() == server)
    }

    pub(super) fn connect(&mut self, connection: Connection) {
        self.connection = Some(connection);
    }

    fn connection(&mut self) -> Result<&mut Connection, Error> {
        self.connection
            .as_mut()
            .ok_or(Error::Answer("the connection"))
    }

    /// Nodes whose subscribers are listed. The ends of others are being told.
    async fn nodes(&mut self) -> Result<Vec<u64>, Error> {
        let nodes = self.connection()?.nodes().await?.into_iter();
        let alive = nodes.filter(|(_, beat)| *beat != Beat::Ended);
        Ok(alive.map(|(name, _)| name).collect())
    }

    pub(super) async fn page(&mut self, from: RosterPlace) -> Result<RosterPage, Error> {
        let nodes = self.nodes().await?;
        let mut nodes = nodes
            .into_iter()
            .filter(|name| *name >= from.node)
            .peekable();
        while let Some(node) = nodes.next() {
            let after = from.after.filter(|_| node == from.node);
            let count = self.lines;
            let lines = self.connection()?.lines(node, after, count).await?;
            if lines.is_empty() {
                continue;
            }
            let bytes: usize = lines.iter().map(Vec::len).sum();
            self.lines = (PAGE_BYTES * lines.len() / bytes.max(1)).clamp(1, LINES_MAX);
            let is_last = lines.len() < count;
            let listed: Vec<Listed> = lines.iter().filter_map(|line| parse(line)).collect();
            let next = match listed.last() {
                Some(last) if !is_last => Some(RosterPlace {
                    node,
                    after: Some(last.id()),
                }),
                _ => nodes.peek().map(|node| RosterPlace {
                    node: *node,
                    after: None,
                }),
            };
            return Ok(RosterPage { node, listed, next });
        }
        Ok(RosterPage::default())
    }

    pub(super) async fn subscriber(&mut self, id: Uuid) -> Result<Option<Listed>, Error> {
        let nodes = self.nodes().await?;
        let line = self.connection()?.line(&nodes, id).await?;
        Ok(line.and_then(|line| parse(&line)))
    }
}

/// Reads a line. One that is none was not written by a node.
pub(super) fn parse(line: &[u8]) -> Option<Listed> {
    Listed::parse(str::from_utf8(line).ok()?)
}
