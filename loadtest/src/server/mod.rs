//! Servers that this program starts itself, and ends or replaces.

mod error;
mod sockets;
mod upgrade;

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use parking_lot::Mutex;

use error::START_PATIENCE;
pub(crate) use error::ServerError;
pub(crate) use sockets::free_ports;
use sockets::listens;
pub(crate) use upgrade::{run_command, upgrade};

/// Longest time for it to end.
const END_PATIENCE: Duration = Duration::from_secs(15);
/// Pause between two looks at the sockets of all processes, which take long where there are many.
const LOOK_AT_SOCKETS: Duration = Duration::from_millis(100);
/// Pause between two checks.
const LOOK: Duration = Duration::from_millis(20);
/// Bytes of a server's output that are kept, the last ones.
const OUTPUT_BYTES_MAX: usize = 4096;

/// Process ids of running servers, so that Ctrl-C leaves none behind.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

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
        // Another listener there would be measured as if it were the server.
        if let Some(taken) = listening
            .iter()
            .flatten()
            .find(|address| TcpStream::connect(address).is_ok())
        {
            return Err(ServerError::Taken(*taken));
        }
        let mut server = Self::launch(text, listening)?;
        server.wait_listening()?;
        Ok(server)
    }

    /// Starts the command.
    fn launch(text: &str, listening: Vec<Vec<SocketAddr>>) -> Result<Self, ServerError> {
        let words = words("--spawn", text)?;
        let [program, arguments @ ..] = words.as_slice() else {
            return Err(ServerError::Empty("--spawn"));
        };
        let failed = |error| ServerError::Start {
            program: program.clone(),
            error,
        };
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
        Ok(Self {
            process,
            output,
            command: text.to_owned(),
            listening,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it by this signal, and starts it again on the same addresses after a pause.
    pub(crate) fn restart(
        self,
        signal: Signal,
        patience: Duration,
        pause: Duration,
    ) -> Result<Self, ServerError> {
        let (command, listening) = (self.command.clone(), self.listening.clone());
        self.end(signal, patience)?;
        std::thread::sleep(pause);
        Self::spawn(&command, listening)
    }

    /// Starts another one on the same addresses, and ends this one by SIGTERM when the other
    /// listens; if that one does not, this one stays.
    pub(crate) fn replace(&mut self, patience: Duration) -> Result<(), ServerError> {
        let mut next = Self::launch(&self.command, self.listening.clone())?;
        next.wait_owning()?;
        std::mem::replace(self, next).end(Signal::SIGTERM, patience)
    }

    fn end(mut self, signal: Signal, patience: Duration) -> Result<(), ServerError> {
        signal_group(self.pid(), signal);
        if !self.wait_ended(patience) {
            return Err(ServerError::Stays(patience, self.output.text()));
        }
        Ok(())
    }

    fn wait_ended(&mut self, patience: Duration) -> bool {
        let start = Instant::now();
        while matches!(self.process.try_wait(), Ok(None)) {
            if start.elapsed() >= patience {
                return false;
            }
            std::thread::sleep(LOOK);
        }
        true
    }

    /// Waits until it has listening sockets of its own at each of its lists of addresses, whoever
    /// else listens there.
    fn wait_owning(&mut self) -> Result<(), ServerError> {
        let start = Instant::now();
        for addresses in self.listening.clone() {
            while !listens(self.pid(), &addresses) {
                self.check_starting(&addresses, start)?;
                std::thread::sleep(LOOK_AT_SOCKETS);
            }
        }
        Ok(())
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
        while !addresses.is_empty() && TcpStream::connect(addresses).is_err() {
            self.check_starting(addresses, start)?;
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Fails if it has ended, or takes too long.
    fn check_starting(
        &mut self,
        addresses: &[SocketAddr],
        start: Instant,
    ) -> Result<(), ServerError> {
        let Some(address) = addresses.first().copied() else {
            return Ok(());
        };
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
        self.wait_ended(END_PATIENCE);
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

/// The words of a command.
fn words(flag: &'static str, text: &str) -> Result<Vec<String>, ServerError> {
    shell_words::split(text).map_err(|error| ServerError::Words {
        flag,
        text: text.to_owned(),
        error,
    })
}
