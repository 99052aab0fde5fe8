//! Closing: a client gets the last answer of a connection that ends, and no reset in its place.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use tracing::debug;

use super::{Connection, End};
use crate::metrics::IngestEnd;
use crate::orders::Orders;

/// Time for which a closing connection is still read and its bytes are dropped. Closing a socket
/// with unread bytes resets it, and the reset may overtake the last answer, which holds the error.
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 4 << 20;

/// The same for a connection that the node ends, not the client. Hundreds may be idle, and a
/// shutdown waits for them.
const LINGER_ON_SHUTDOWN_MAX: Duration = Duration::from_millis(100);

impl Connection {
    /// Serves the connection to its end and closes it, unless it is to be carried.
    pub(super) async fn serve_and_close(&mut self, orders: &mut Orders) -> End {
        let Err(end) = self.serve(orders).await;
        debug!(
            client = self.session.client.id,
            "ingest connection ended: {end}"
        );
        if let End::Carried = end {
            return end;
        }
        if let End::Limit(limit) = end {
            self.port.count_end(limit);
        }
        self.listed.begin_to_end();
        match end {
            End::Answered => self.linger(LINGER_MAX).await,
            End::Limit(IngestEnd::CommandTimeout) => {
                self.reply
                    .error("ERR the command took too long to arrive (ingest_command_timeout)");
                // The connection ends whether this is read or not.
                let _ = timeout(LINGER_MAX, self.stream.write(self.reply.bytes())).await;
                self.linger(LINGER_ON_SHUTDOWN_MAX).await;
            }
            End::Shutdown | End::Limit(IngestEnd::Idle) => {
                self.linger(LINGER_ON_SHUTDOWN_MAX).await;
            }
            End::Eof | End::Limit(_) | End::Io(_) | End::Carried => {}
        }
        end
    }

    /// Lets the client read the last answer before the socket is closed.
    async fn linger(&mut self, time_max: Duration) {
        let drain = async {
            self.stream.shutdown().await?;
            let mut dropped = 0;
            let mut bytes = [0; 4096];
            while dropped < LINGER_BYTES_MAX {
                match self.stream.read(&mut bytes).await? {
                    0 => break,
                    count => dropped += count,
                }
            }
            Ok::<_, io::Error>(())
        };
        // The socket is closed now, whether the client ended well or not.
        let _ = timeout(time_max, drain).await;
    }
}
