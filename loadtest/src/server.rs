//! Servers that this program starts itself, and ends again.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;

/// Longest time for a server to begin to listen.
const START_PATIENCE: Duration = Duration::from_secs(120);
/// Longest time for it to end.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two checks.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a server's output that are kept, the last ones.
const OUTPUT_BYTES_MAX: usize = 4096;

/// Process ids of running servers, so that Ctrl-C leaves none behind.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The command is malformed.
    #[error("--spawn {text:?}: {error}")]
    Words {
        /// The command.
        text: String,
        /// Why.
        error: shell_words::ParseError,
    },
    /// The command is empty.
    #[error("--spawn: the command is empty")]
    Empty,
    /// It could not be started.
    #[error("--spawn: starting {program:?}: {error}")]
    Start {
        /// The first word.
        program: String,
        /// Why.
        error: io::Error,
    },
    /// It ended.
    #[error(
        "the server that --spawn started has ended ({status}) before it listened on {address}; it said:\n{output}"
    )]
    Ended {
        /// How.
        status: String,
        /// Its expected address.
        address: SocketAddr,
        /// Its last words.
        output: String,
    },
    /// It does not listen.
    #[error(
        "the server that --spawn started does not listen on {address} after {START_PATIENCE:?}; it said:\n{output}"
    )]
    Silent {
        /// Its expected address.
        address: SocketAddr,
        /// Its output.
        output: String,
    },
    /// Another process listens there.
    #[error(
        "--spawn: something listens on {0} already; end it, or write {{http}} and {{ingest}} for free ports"
    )]
    Taken(SocketAddr),
    /// No free port.
    #[error("finding a free port: {0}")]
    Port(io::Error),
}

/// A running server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    output: Output,
    command: String,
    /// Its addresses: one at least of each list.
    listening: Vec<Vec<SocketAddr>>,
}

/// The last bytes of a server's output.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<VecDeque<u8>>>);

impl Server {
    /// Starts the command and waits until it listens: on one at least of each of these lists of
    /// addresses.
    pub(crate) fn spawn(text: &str, listening: Vec<Vec<SocketAddr>>) -> Result<Self, ServerError> {
        let words = shell_words::split(text).map_err(|error| ServerError::Words {
            text: text.to_owned(),
            error,
        })?;
        let [program, arguments @ ..] = words.as_slice() else {
            return Err(ServerError::Empty);
        };
        let failed = |error| ServerError::Start {
            program: program.clone(),
            error,
        };
        // Another listener there would be measured as if it were the server.
        if let Some(taken) = listening
            .iter()
            .flatten()
            .find(|address| TcpStream::connect(address).is_ok())
        {
            return Err(ServerError::Taken(*taken));
        }
        let (from_server, to_us) = io::pipe().map_err(failed)?;
        let process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(to_us.try_clone().map_err(failed)?)
            .stderr(to_us)
            // A group of its own, so that all that it starts can be ended with it.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        RUNNING.lock().push(process.id());
        let output = Output::default();
        output.clone().keep(from_server);
        let mut server = Self {
            process,
            output,
            command: text.to_owned(),
            listening,
        };
        server.wait_listening()?;
        Ok(server)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it by this signal, and starts it again on the same addresses.
    pub(crate) fn restart(mut self, signal: Signal) -> Result<Self, ServerError> {
        signal_group(self.pid(), signal);
        self.wait_ended();
        let command = std::mem::take(&mut self.command);
        let listening = std::mem::take(&mut self.listening);
        drop(self);
        Self::spawn(&command, listening)
    }

    fn wait_ended(&mut self) {
        let start = Instant::now();
        while start.elapsed() < END_PATIENCE && matches!(self.process.try_wait(), Ok(None)) {
            std::thread::sleep(LOOK);
        }
    }

    fn wait_listening(&mut self) -> Result<(), ServerError> {
        let start = Instant::now();
        for addresses in self.listening.clone() {
            self.wait_for_one_of(&addresses, start)?;
        }
        Ok(())
    }

    fn wait_for_one_of(
        &mut self,
        addresses: &[SocketAddr],
        start: Instant,
    ) -> Result<(), ServerError> {
        let Some(address) = addresses.first().copied() else {
            return Ok(());
        };
        while TcpStream::connect(addresses).is_err() {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Err(ServerError::Ended {
                    status: status.to_string(),
                    address,
                    output: self.output.text(),
                });
            }
            if start.elapsed() > START_PATIENCE {
                return Err(ServerError::Silent {
                    address,
                    output: self.output.text(),
                });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Output {
    /// Reads for as long as anyone holds the other end, so that no server ever waits for us.
    fn keep(self, mut from: PipeReader) {
        std::thread::spawn(move || {
            let mut buffer = [0; OUTPUT_BYTES_MAX];
            while let Ok(size @ 1..) = from.read(&mut buffer) {
                let mut kept = self.0.lock();
                kept.extend(&buffer[..size]);
                let surplus = kept.len().saturating_sub(OUTPUT_BYTES_MAX);
                kept.drain(..surplus);
            }
        });
    }

    fn text(&self) -> String {
        let bytes: Vec<u8> = self.0.lock().iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = self.process.id();
        RUNNING.lock().retain(|running| *running != pid);
        signal_group(pid, Signal::SIGTERM);
        self.wait_ended();
        // Processes that it left running are ended, too.
        signal_group(pid, Signal::SIGKILL);
        let _ = self.process.wait();
    }
}

/// Signals the process and all that it started, which are in its group unless they left it.
fn signal_group(pid: u32, signal: Signal) {
    // A group that is gone needs no signal.
    let _ = killpg(Pid::from_raw(pid as i32), signal);
}

/// On Ctrl-C and SIGTERM: ends the servers that were started, then this program.
pub(crate) fn end_servers_on_interrupt() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        let running = std::mem::take(&mut *RUNNING.lock());
        running
            .iter()
            .for_each(|pid| signal_group(*pid, Signal::SIGTERM));
        let start = Instant::now();
        let gone = |pid: &u32| killpg(Pid::from_raw(*pid as i32), None).is_err();
        while start.elapsed() < END_PATIENCE && !running.iter().all(gone) {
            std::thread::sleep(LOOK);
        }
        running
            .iter()
            .for_each(|pid| signal_group(*pid, Signal::SIGKILL));
        std::process::exit(130);
    })
}

/// Two ports without a listener at the moment.
pub(crate) fn free_ports() -> Result<[u16; 2], ServerError> {
    let listen = || TcpListener::bind("127.0.0.1:0").map_err(ServerError::Port);
    // Both are held until both are known, or they could be the same.
    let held = [listen()?, listen()?];
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    Ok([
        port(&held[0]).map_err(ServerError::Port)?,
        port(&held[1]).map_err(ServerError::Port)?,
    ])
}
