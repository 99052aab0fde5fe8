//! The nodes of the server: their commands and URLs, each with its own ports.

use crate::cli::shared::TargetArgs;
use crate::scenario::ScenarioError;
use crate::server;

/// Most nodes of a server.
pub(crate) const NODES_MAX: usize = 64;

/// A node, as the user describes it.
#[derive(Clone, Debug)]
pub(crate) struct NodeArgs {
    /// Its number, from zero.
    number: usize,
    /// The ports that this program chose for `{http}`, `{ingest}` and `{admin}`.
    ports: Option<[u16; 3]>,
    /// The command that starts it.
    pub(crate) spawn: Option<String>,
    /// Where streams are opened.
    pub(crate) url: String,
    /// Where events are published, if the user says so.
    pub(crate) publish: Vec<String>,
    /// The port of the Redis protocol, if this program chose it.
    pub(crate) ingest_port: Option<u16>,
}

impl NodeArgs {
    /// The nodes: as many as `--nodes` if this program starts them, or one for each `--url`.
    pub(super) fn all(target: &TargetArgs) -> Result<Vec<Self>, ScenarioError> {
        match &target.spawn {
            Some(command) => Self::spawned(target, command),
            None => Self::running(target),
        }
    }

    fn spawned(target: &TargetArgs, command: &str) -> Result<Vec<Self>, ScenarioError> {
        let [url] = target.url.as_slice() else {
            return Err(ScenarioError::Options(
                "--spawn starts each node with the same command: give one --url with {http} in it, and --nodes",
            ));
        };
        let ports = server::free_ports(usize::from(target.nodes))?;
        let names_ingest = command.contains("{ingest}");
        let node = |(number, ports): (usize, [u16; 3])| {
            let bare = Self {
                number,
                ports: Some(ports),
                spawn: None,
                url: String::new(),
                publish: Vec::new(),
                ingest_port: names_ingest.then_some(ports[1]),
            };
            Self {
                spawn: Some(bare.fill(command)),
                url: bare.fill(url),
                publish: target.publish.iter().map(|text| bare.fill(text)).collect(),
                ..bare
            }
        };
        Ok(ports.into_iter().enumerate().map(node).collect())
    }

    fn running(target: &TargetArgs) -> Result<Vec<Self>, ScenarioError> {
        if target.url.len() > NODES_MAX {
            return Err(ScenarioError::Options(
                "--url: a server has at most 64 nodes",
            ));
        }
        let (nodes, ways) = (target.url.len(), target.publish.len());
        if !ways.is_multiple_of(nodes) && ways != 1 {
            return Err(ScenarioError::Options(
                "--publish: give one for each --url in their order, or a single one, or none",
            ));
        }
        let publish = |number: usize| match ways {
            1 if number > 0 => Vec::new(),
            _ => {
                let own = target.publish.iter().skip(number).step_by(nodes);
                own.cloned().collect()
            }
        };
        let node = |(number, url): (usize, &String)| Self {
            number,
            ports: None,
            spawn: None,
            url: url.clone(),
            publish: publish(number),
            ingest_port: None,
        };
        Ok(target.url.iter().enumerate().map(node).collect())
    }

    /// The text with the node's number in place of `{node}`, and its ports in place of `{http}`,
    /// `{ingest}` and `{admin}` if this program chose them.
    pub(crate) fn fill(&self, text: &str) -> String {
        let names = ["{http}", "{ingest}", "{admin}"];
        let ports = self.ports.into_iter().flatten();
        let text = text.replace("{node}", &self.number.to_string());
        names
            .into_iter()
            .zip(ports)
            .fold(text, |text, (name, port)| {
                text.replace(name, &port.to_string())
            })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn nodes(words: &[&str]) -> Result<Vec<NodeArgs>, ScenarioError> {
        let words = ["fantail-loadtest", "fanout"].iter().chain(words);
        let cli = Cli::try_parse_from(words).expect("a command line");
        NodeArgs::all(&cli.command.common().expect("a scenario").target)
    }

    #[test]
    fn each_node_that_is_started_has_ports_of_its_own() {
        let words = [
            "--nodes=3",
            "--spawn=serve {http} {ingest} {node}",
            "--url=http://127.0.0.1:{http}",
        ];
        let nodes = nodes(&words).expect("nodes");
        let mut urls: Vec<&str> = nodes.iter().map(|node| &*node.url).collect();
        urls.dedup();
        assert_eq!(urls.len(), 3);
        for (number, node) in nodes.iter().enumerate() {
            let command = node.spawn.as_deref().expect("a command");
            let ingest = node.ingest_port.expect("a port").to_string();
            assert!(
                command.ends_with(&format!("{ingest} {number}")),
                "{command}"
            );
        }
    }

    #[test]
    fn running_nodes_are_given_by_their_urls_and_ways_in() {
        let urls = ["--url=http://a", "--url=http://b"];
        let publish = |ways: &[&str]| {
            let words: Vec<&str> = urls.iter().chain(ways).copied().collect();
            nodes(&words).map(|nodes| {
                let each = nodes.into_iter().map(|node| node.publish.join(" "));
                each.collect::<Vec<_>>()
            })
        };
        assert_eq!(publish(&[]).ok(), Some(vec![String::new(), String::new()]));
        let two = ["--publish=resp://a", "--publish=resp://b"];
        assert_eq!(
            publish(&two).ok(),
            Some(vec!["resp://a".to_owned(), "resp://b".to_owned()])
        );
        let one = publish(&two[..1]).ok();
        assert_eq!(one, Some(vec!["resp://a".to_owned(), String::new()]));
        let three = [two[0], two[1], "--publish=resp://c"];
        let error = publish(&three).expect_err("three of two").to_string();
        assert!(error.contains("one for each --url"), "{error}");
    }
}
