//! A running proxy, on free ports, ended with the test.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use super::answers;
use super::recipe::Recipe;
use crate::program;
use crate::support::free_port::free_address;
use crate::support::wait_until;

/// Programs of the Python packages, in the place that `cargo xtask tools` uses.
const PYTHON_PROGRAMS: &str = "tests/python/.venv/bin/";

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Haproxy,
    Caddy,
    Envoy,
    Traefik,
}

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Caddy,
        Self::Envoy,
        Self::Traefik,
    ];

    /// The files of its recipe.
    pub(super) fn files(self) -> &'static [&'static str] {
        match self {
            Self::Nginx => &["nginx.conf"],
            Self::Haproxy => &["haproxy.cfg"],
            Self::Caddy => &["Caddyfile"],
            Self::Envoy => &["envoy.yaml"],
            Self::Traefik => &["traefik.yml", "traefik-fantail.yml"],
        }
    }

    /// Whether it ends a stream on which the node has been silent for too long. The others wait
    /// until the node continues, or its machine answers with a reset.
    pub(super) fn ends_silent_streams(self) -> bool {
        matches!(self, Self::Nginx | Self::Haproxy | Self::Envoy)
    }

    /// Whether it also answers for a node that says 503 itself, or another proxy on the way.
    pub(super) fn replaces_answers(self) -> bool {
        self != Self::Envoy
    }

    /// The program, with the arguments that start it with this file.
    fn command(self, file: &str) -> Command {
        let packaged = |name: &str| format!("{PYTHON_PROGRAMS}{name}");
        let (name, arguments): (String, &[&str]) = match self {
            Self::Nginx => (program::administrators("nginx"), &["-c", file]),
            Self::Haproxy => (program::administrators("haproxy"), &["-db", "-f", file]),
            Self::Caddy => (
                "caddy".to_owned(),
                &["run", "--adapter", "caddyfile", "--config", file],
            ),
            Self::Envoy => (
                packaged("envoy"),
                &["-c", file, "--use-dynamic-base-id", "--concurrency", "1"],
            ),
            Self::Traefik => (packaged("traefik"), &["--configfile", file]),
        };
        let mut command = program::command(&name);
        command.args(arguments);
        command
    }
}

/// A proxy that forwards to one node.
pub(super) struct Proxy {
    child: Child,
    /// Its configuration and its log.
    directory: TempDir,
    pub(super) address: SocketAddr,
}

impl Proxy {
    /// Starts it, and waits until it accepts connections.
    pub(super) fn start(recipe: Recipe, node: SocketAddr) -> Self {
        let kind = recipe.kind;
        let directory = tempfile::tempdir().expect("a directory");
        let address = free_address();
        recipe.write(
            directory.path(),
            node,
            [address.port(), free_address().port()],
        );
        let file = directory.path().join(kind.files()[0]);
        let log = File::create(log_of(directory.path())).expect("a file");
        let child = kind
            .command(file.to_str().expect("a path of UTF-8"))
            // Caddy keeps its state there.
            .env("HOME", directory.path())
            .env("XDG_CONFIG_HOME", directory.path())
            .env("XDG_DATA_HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{kind:?}: {error} (`cargo xtask tools` installs what is missing)")
            });
        let mut proxy = Self {
            child,
            directory,
            address,
        };
        wait_until(&format!("{kind:?} forwards requests"), || {
            let ended = proxy.child.try_wait().expect("a child");
            assert!(ended.is_none(), "{kind:?} ended with {ended:?}");
            // Traefik accepts connections, and answers 404, before it has read all of its files.
            TcpStream::connect(address).is_ok()
                && !matches!(answers::status(&proxy, "/topics"), 0 | 404)
        });
        proxy
    }

    /// An address of the proxy.
    pub(super) fn url(&self, target: &str) -> String {
        format!("https://{}{target}", self.address)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let log = fs::read_to_string(log_of(self.directory.path())).unwrap_or_default();
            eprintln!("--- the proxy logged:\n{log}---");
        }
    }
}

fn log_of(directory: &Path) -> std::path::PathBuf {
    directory.join("log")
}
