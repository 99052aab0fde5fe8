//! Nodes that are killed and come back, one after the other and one at a time.

use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::cli::{ClusterArgs, KillSignal};
use crate::scenario::ScenarioError;
use crate::scenario::session::{NodeArgs, Session};
use crate::server::{self, Server, ServerError};

/// Longest time for a node to listen again after its command.
const BACK_PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two checks.
const LOOK: Duration = Duration::from_millis(20);

/// The kills of a run.
pub(super) struct Kills {
    every: Option<Duration>,
    /// No kill begins later, from the start of publishing.
    until: Duration,
    /// `None` while a kill is under way.
    killer: Option<Killer>,
    say: Sender<Ended>,
    told: Receiver<Ended>,
    begun: u32,
    done: u32,
    longest: Duration,
    failure: Option<ServerError>,
}

/// Kills nodes and starts them again.
struct Killer {
    nodes: Nodes,
    signal: Signal,
    down: Duration,
    patience: Duration,
}

/// The nodes that can be killed.
enum Nodes {
    /// Those that this program started; `None` if one did not come back.
    Started(Vec<Option<Server>>),
    /// Those that the user's commands kill and start.
    Commanded(Vec<Commanded>),
}

struct Commanded {
    kill: String,
    start: String,
    address: SocketAddr,
}

/// The end of a kill.
struct Ended {
    killer: Killer,
    result: Result<(), ServerError>,
    took: Duration,
}

/// Checks that the nodes can be killed as the user asks for.
pub(super) fn check(args: &ClusterArgs) -> Result<(), ScenarioError> {
    let (kill, start) = (&args.kill_command, &args.start_command);
    let error = match (args.kill_every, &args.common.target.spawn) {
        (None, _) if kill.is_some() || start.is_some() => {
            "--kill-command and --start-command are for --kill-every"
        }
        (Some(_), Some(_)) if kill.is_some() || start.is_some() => {
            "--kill-every kills the nodes that --spawn started; leave --kill-command and --start-command out"
        }
        (Some(_), None) if kill.is_none() || start.is_none() => {
            "--kill-every kills no node that this program did not start: give --spawn and --nodes, or --kill-command and --start-command"
        }
        _ => return Ok(()),
    };
    Err(ScenarioError::Options(error))
}

impl Kills {
    /// Takes the nodes of the session, if they are to be killed.
    pub(super) fn new(session: &mut Session, args: &ClusterArgs) -> Self {
        let (say, told) = mpsc::channel();
        if args.kill_every.is_some() {
            session.lose_cpu();
        }
        let nodes = match (&args.kill_command, &args.start_command) {
            _ if args.kill_every.is_none() => Nodes::Commanded(Vec::new()),
            (Some(kill), Some(start)) => Nodes::Commanded(commanded(session, kill, start)),
            _ => Nodes::Started(session.take_servers().into_iter().map(Some).collect()),
        };
        Self {
            every: args.kill_every,
            until: args.time,
            killer: Some(Killer {
                nodes,
                signal: match args.kill_signal {
                    KillSignal::Kill => Signal::SIGKILL,
                    KillSignal::Term => Signal::SIGTERM,
                },
                down: args.down,
                patience: session.timeout(),
            }),
            say,
            told,
            begun: 0,
            done: 0,
            longest: Duration::ZERO,
            failure: None,
        }
    }

    /// Begins a kill if one is due; the next node each time, when the one before is back.
    pub(super) fn turn(&mut self, elapsed: Duration) {
        if let Ok(ended) = self.told.try_recv() {
            self.has_ended(ended);
        }
        let Some(every) = self.every else { return };
        let due = every * (self.begun + 1);
        if elapsed < due || elapsed >= self.until || self.failure.is_some() {
            return;
        }
        let Some(mut killer) = self.killer.take() else {
            return;
        };
        let (number, say) = (self.begun as usize, self.say.clone());
        self.begun += 1;
        // In a thread of its own: streams and publishers notice for themselves.
        std::thread::spawn(move || {
            let start = Instant::now();
            let result = killer.kill(number);
            // The main thread waits for this.
            let _ = say.send(Ended {
                killer,
                result,
                took: start.elapsed(),
            });
        });
    }

    fn has_ended(&mut self, ended: Ended) {
        self.killer = Some(ended.killer);
        match ended.result {
            Ok(()) => {
                self.done += 1;
                self.longest = self.longest.max(ended.took);
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// Waits for a kill that is under way, and gives the nodes back to the session.
    pub(super) fn end(&mut self, session: &mut Session) {
        if self.killer.is_none()
            && let Ok(ended) = self.told.recv()
        {
            self.has_ended(ended);
        }
        if let Some(Killer {
            nodes: Nodes::Started(servers),
            ..
        }) = self.killer.take()
        {
            session.use_servers(servers.into_iter().flatten().collect());
        }
    }

    /// Whether nodes are to be killed at all.
    pub(super) fn are_asked_for(&self) -> bool {
        self.every.is_some()
    }

    /// Kills after which the node came back.
    pub(super) fn done(&self) -> u32 {
        self.done
    }

    /// The longest time from a kill until its node listened again.
    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Why the last one failed.
    pub(super) fn failure(self) -> Option<ServerError> {
        self.failure
    }
}

impl Killer {
    /// Kills a node, the next one each time, and starts it again.
    fn kill(&mut self, number: usize) -> Result<(), ServerError> {
        match &mut self.nodes {
            Nodes::Started(servers) => {
                let place = number % servers.len().max(1);
                let Some(server) = servers.get_mut(place).and_then(Option::take) else {
                    return Ok(());
                };
                let server = server.restart(self.signal, self.patience, self.down)?;
                servers[place] = Some(server);
                Ok(())
            }
            Nodes::Commanded(nodes) => {
                let place = number % nodes.len().max(1);
                let Some(node) = nodes.get(place) else {
                    return Ok(());
                };
                server::run_command("--kill-command", &node.kill)?;
                std::thread::sleep(self.down);
                server::run_command("--start-command", &node.start)?;
                wait_listening(node.address)
            }
        }
    }
}

fn commanded(session: &Session, kill: &str, start: &str) -> Vec<Commanded> {
    let nodes = session.nodes().iter().zip(session.stream_addresses());
    let node = |(node, address): (&NodeArgs, SocketAddr)| Commanded {
        kill: node.fill(kill),
        start: node.fill(start),
        address,
    };
    nodes.map(node).collect()
}

fn wait_listening(address: SocketAddr) -> Result<(), ServerError> {
    let start = Instant::now();
    while TcpStream::connect_timeout(&address, BACK_PATIENCE).is_err() {
        if start.elapsed() > BACK_PATIENCE {
            return Err(ServerError::NotBack(address, BACK_PATIENCE));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
