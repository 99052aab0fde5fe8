//! Messages to the supervisor, if it asked for them (`NOTIFY_SOCKET`): systemd's protocol,
//! `sd_notify(3)`.
//!
//! Without that variable nothing is sent. The variable stays in the environment, so that the
//! process still has it after an `exec`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::hub::Hub;
use crate::once_a_minute::OnceAMinute;

/// Longest wait for a supervisor that reads no messages.
const SEND_MAX: Duration = Duration::from_secs(1);

/// Messages of the watchdog in the time after which the supervisor gives up.
const WATCHDOG_MESSAGES: u32 = 3;

/// Guard of the log line about messages that the supervisor did not get.
static UNSENT: OnceAMinute = OnceAMinute::new();

/// The way to the supervisor. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Supervisor(Option<Arc<SocketAddr>>);

impl Supervisor {
    /// The supervisor that the environment names.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self(None);
        };
        match address(&name) {
            Ok(address) => Self(Some(Arc::new(address))),
            Err(error) => {
                unsent(&error);
                Self(None)
            }
        }
    }

    /// Whether there is one.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// The node serves: at the start, and again after [`Supervisor::reloading`].
    pub(crate) fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// The node reads its keys again, or is about to continue as another version.
    pub(crate) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(error) => unsent(&error),
        }
    }

    /// The node is about to end, in this time at the latest unless it says so again.
    pub(crate) fn stopping(&self, within: Duration) {
        self.send(&[NotifyState::Stopping, extend(within)]);
    }

    /// A line for a person. `within`: time in which the node ends, if it is about to.
    pub(crate) fn status(&self, line: &str, within: Option<Duration>) {
        let status = NotifyState::Status(line);
        match within {
            Some(within) => self.send(&[status, extend(within)]),
            None => self.send(&[status]),
        }
    }

    fn send(&self, message: &[NotifyState<'_>]) {
        let Some(address) = &self.0 else { return };
        let lines: Vec<String> = message.iter().map(NotifyState::to_string).collect();
        if let Err(error) = send(address, &lines.join("\n")) {
            unsent(&error);
        }
    }
}

/// The time for which the supervisor waits for the next message. The protocol knows a bit more than
/// an hour; the node says it again before.
fn extend(within: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(within.as_micros()).unwrap_or(u32::MAX))
}

/// A path, or a name in the abstract namespace (`@…`), which the crate's own sender does not know.
fn address(name: &OsString) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "NOTIFY_SOCKET is neither a path nor an abstract name",
        )),
    }
}

fn send(to: &SocketAddr, message: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_MAX))?;
    socket.send_to_addr(message.as_bytes(), to).map(drop)
}

fn unsent(error: &io::Error) {
    if let Some(left_out) = UNSENT.due() {
        tracing::warn!(left_out, %error, "the supervisor does not get the node's messages (NOTIFY_SOCKET)");
    }
}

/// Tells the supervisor that the node works, as often as it asked for (`WATCHDOG_USEC`). Each
/// message follows a proof: a thread for I/O runs this, the desk's lock was free, and each shard
/// has answered. Ends at once if the supervisor has no watchdog.
pub(super) async fn keep_alive(supervisor: Supervisor, hub: Hub) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        hub.probe().await;
        supervisor.send(&[NotifyState::Watchdog]);
        tokio::time::sleep(patience / WATCHDOG_MESSAGES).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_reach_a_socket_with_an_abstract_name() {
        let name = format!("fantail-{}", std::process::id());
        let bound = SocketAddr::from_abstract_name(&name).expect("a name");
        let socket = UnixDatagram::bind_addr(&bound).expect("a free name");
        let address = address(&OsString::from(format!("@{name}"))).expect("a name");
        let supervisor = Supervisor(Some(Arc::new(address)));
        let mut bytes = [0; 200];
        let mut next = || {
            let length = socket.recv(&mut bytes).expect("a message");
            String::from_utf8_lossy(&bytes[..length]).into_owned()
        };
        supervisor.status("3 streams", Some(Duration::from_secs(2)));
        assert_eq!(next(), "STATUS=3 streams\nEXTEND_TIMEOUT_USEC=2000000");
        supervisor.stopping(Duration::from_secs(7_200));
        assert_eq!(next(), "STOPPING=1\nEXTEND_TIMEOUT_USEC=4294967295");
    }

    /// A supervisor that reads nothing, and one that is gone, hold nothing up.
    #[test]
    fn a_supervisor_that_is_gone_is_no_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("nothing").into_os_string();
        Supervisor(Some(Arc::new(address(&path).expect("a path")))).ready();
        Supervisor::default().ready();
        assert!(address(&OsString::from("vsock:2:1234")).is_err());
    }
}
