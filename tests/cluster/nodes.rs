//! Several nodes with one log: real processes, which keep their addresses when they start again.

use std::net::SocketAddr;
use std::sync::Arc;

use rustix::process::Signal;

use crate::support::free_port::free_address;
use crate::support::http::{self, Response};
use crate::support::node::Node;
use crate::support::wait_for;

/// Limits that no scenario reaches, since the judge reads the whole log, and short times so that none
/// waits.
const FLAGS: [[&str; 2]; 10] = [
    ["--log-events-max", "100000000"],
    ["--log-bytes-max", "0"],
    ["--history-events", "1000000"],
    ["--history-bytes", "256MiB"],
    ["--history-budget-bytes", "512MiB"],
    ["--heartbeat-interval", "1s"],
    ["--shards", "1"],
    ["--io-threads", "2"],
    ["--gap-spread", "500ms"],
    ["--drain-period", "100ms"],
];

/// A node's own flags.
#[derive(Clone, Debug)]
struct Member {
    http: SocketAddr,
    flags: Vec<String>,
}

/// The nodes.
pub(crate) struct Nodes {
    members: Vec<Member>,
    running: Vec<Option<Node>>,
    addresses: Arc<[SocketAddr]>,
}

impl Nodes {
    /// Starts a node for each of these logs: the same log for all, or the way of each to it. Flags in
    /// `more` win over the usual ones.
    pub(crate) fn start(logs: &[String], more: &[&str]) -> Self {
        let member = |log: &String| Member {
            http: free_address(),
            flags: FLAGS
                .iter()
                .filter(|[name, _]| !more.contains(name))
                .flatten()
                .chain(&["--log", log])
                .chain(more)
                .map(|&flag| flag.to_owned())
                .collect(),
        };
        let members: Vec<Member> = logs.iter().map(member).collect();
        let addresses = members.iter().map(|member| member.http).collect();
        let mut nodes = Self {
            running: members.iter().map(|_| None).collect(),
            members,
            addresses,
        };
        (0..logs.len()).for_each(|index| nodes.restart(index));
        nodes
    }

    /// The addresses of the public listeners.
    pub(crate) fn addresses(&self) -> &Arc<[SocketAddr]> {
        &self.addresses
    }

    /// Number of nodes.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// A node that runs.
    pub(crate) fn at(&self, index: usize) -> &Node {
        self.running[index].as_ref().expect("it runs")
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, index: usize) {
        if let Some(mut node) = self.running[index].take() {
            node.signal(Signal::KILL);
            node.wait();
        }
    }

    /// SIGTERM, and waits until the node has drained.
    pub(crate) fn stop(&mut self, index: usize) {
        if let Some(mut node) = self.running[index].take() {
            assert!(node.stop().success(), "{}", node.logged());
        }
    }

    /// Starts a node where it was, and waits until it serves.
    pub(crate) fn restart(&mut self, index: usize) {
        let member = &self.members[index];
        let flags: Vec<&str> = member.flags.iter().map(String::as_str).collect();
        self.running[index] = Some(Node::start_at(member.http, &flags));
    }

    /// A counter or gauge of a node, all its labels together.
    pub(crate) fn metric(&self, index: usize, name: &str) -> f64 {
        metric(self.at(index), name)
    }

    /// Whether a node says that it is ready.
    pub(crate) fn is_ready(&self, index: usize) -> bool {
        self.at(index).admin_get("/readyz").status == 200
    }

    /// Publishes an event, at any node, until it is answered with 200; the id.
    pub(crate) fn publish(&self, topic: &str, data: &str) -> String {
        let key = format!("{:016x}", fastrand::u64(..));
        wait_for("an event is published", || {
            let index = fastrand::usize(..self.len());
            let node = self.running[index].as_ref()?;
            let answer = publish_with_key(node, topic, data, &key);
            let id = (answer.status == 200).then(|| answer.json()["id"].clone())?;
            Some(id.as_str()?.to_owned())
        })
    }
}

/// `POST /publish/{topic}`.
pub(crate) fn publish(node: &Node, topic: &str, data: &str) -> Response {
    let target = format!("/publish/{topic}");
    http::request(node.http, "POST", &target, &[], data.as_bytes())
}

/// The same with an idempotency key.
pub(crate) fn publish_with_key(node: &Node, topic: &str, data: &str, key: &str) -> Response {
    let target = format!("/publish/{topic}");
    let fields = [("Idempotency-Key", key)];
    http::request(node.http, "POST", &target, &fields, data.as_bytes())
}

/// A counter or gauge of a node, all its labels together.
pub(crate) fn metric(node: &Node, name: &str) -> f64 {
    let page = node.admin_get("/metrics").body;
    let samples: Vec<f64> = page
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
        .collect();
    assert!(!samples.is_empty(), "no metric {name} on the page:\n{page}");
    samples.iter().sum()
}
