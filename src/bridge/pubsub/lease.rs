//! Where nodes share a log, one of them writes the messages of channels to it: the one that has the
//! lease. The others wait for it.
//!
//! A node that takes the lease subscribes, and then writes a marker to the log. Every node tells its
//! streams a gap in the place of the marker: messages may have passed between two forwarders. What
//! follows the marker is exact.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::lost::Lost;
use super::pace::{Pace, jittered};
use crate::bridge::follow::Marker;
use crate::bridge::redis::{Address, Connection, Error, Host, beside};
use crate::hub::Hub;

/// The log that messages are written to, and the times of the lease.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// Where the log is.
    pub address: Address,
    /// Key of its stream.
    pub stream_key: String,
    /// Time for which a lease is taken and prolonged.
    pub lease: Duration,
}

/// Time of a lease: a forwarder that is killed is replaced after it.
pub const LEASE: Duration = Duration::from_secs(10);

/// A lease that is asked for, or held.
pub(super) struct Lease<'c> {
    config: &'c Forwarding,
    connection: Connection,
    key: String,
    holder: String,
    /// This node must not write later.
    until: watch::Sender<Instant>,
}

impl<'c> Lease<'c> {
    /// Connects to the log, and waits for the lease. `waits` is called when another node has it.
    ///
    /// A node goes on with a lease that it has already, from before its program was replaced or its
    /// connection broke: its name is that of its roster, which a new program goes on with.
    pub(super) async fn take(
        config: &'c Forwarding,
        pace: Pace,
        name: u64,
        waits: impl Fn(),
    ) -> Result<Self, Lost> {
        let connect = Connection::connect(&config.address, &config.stream_key);
        let connection = match timeout(pace.connect_timeout, connect).await {
            Ok(connection) => connection.map_err(|error| Lost::log(error, &config.stream_key))?,
            Err(_) => return Err(Lost::silent("the log did not answer")),
        };
        let owner = format!("{name:016x}.");
        let mut lease = Self {
            config,
            connection,
            key: beside(&config.stream_key, "channels"),
            holder: format!("{owner}{:016x}", fastrand::u64(..)),
            until: watch::Sender::new(Instant::now()),
        };
        loop {
            let asked = Instant::now();
            let (key, holder, time) = (&lease.key, &lease.holder, config.lease);
            let taken = lease.connection.take_lease(key, &owner, holder, time).await;
            if taken.map_err(|error| Lost::log(error, key))? {
                lease.until.send_replace(end_of(asked, time));
                return Ok(lease);
            }
            waits();
            sleep(jittered(config.lease / 5)).await;
        }
    }

    /// The server that has it.
    pub(super) fn host(&self) -> &Host {
        self.connection.host()
    }

    /// The time up to which this node may write.
    pub(super) fn until(&self) -> watch::Receiver<Instant> {
        self.until.subscribe()
    }

    /// Prolongs the lease, and returns when it is lost.
    pub(super) async fn keep(&mut self) -> Lost {
        loop {
            let until = *self.until.borrow();
            let next = Instant::now() + self.config.lease / 4;
            sleep_until(next.min(until)).await;
            let asked = Instant::now();
            if asked >= until {
                return Lost::Lease;
            }
            let (key, holder, time) = (&self.key, &self.holder, self.config.lease);
            let prolong = self.connection.prolong_lease(key, holder, time);
            match timeout(until - asked, prolong).await {
                Ok(Ok(true)) => _ = self.until.send_replace(end_of(asked, time)),
                Ok(Ok(false)) | Err(_) => return Lost::Lease,
                // Such as for want of replicas: nobody else takes it before its end.
                Ok(Err(Error::Refused(_))) => {}
                Ok(Err(error)) => return Lost::log(error, key),
            }
        }
    }

    /// Leaves the lease to others.
    pub(super) async fn end(mut self) {
        // If it cannot be ended now, it ends with its time.
        let _ = self.connection.end_lease(&self.key, &self.holder).await;
    }
}

/// A tenth before the server forgets a lease that was asked for at this time.
fn end_of(asked: Instant, lease: Duration) -> Instant {
    asked + lease.mul_f64(0.9)
}

/// Writes the marker of a doubt, and waits until this node has read it.
pub(super) async fn mark(config: &Forwarding, pace: Pace, hub: &Hub) -> Result<(), Lost> {
    let mark = async {
        let connect = Connection::connect(&config.address, &config.stream_key);
        let failed = |error| Lost::log(error, &config.stream_key);
        let mut connection = connect.await.map_err(failed)?;
        let id = connection.append_marker(Marker::Lost).await;
        let id = id.map_err(failed)?;
        hub.wait_for_head(id).await;
        Ok(())
    };
    match timeout(pace.connect_timeout, mark).await {
        Ok(marked) => marked,
        Err(_) => Err(Lost::silent("the marker in the log did not come back")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_stops_before_the_server_forgets_its_lease() {
        let asked = Instant::now();
        let end = end_of(asked, LEASE);
        assert!(end > asked + LEASE / 2 && end < asked + LEASE);
    }
}
