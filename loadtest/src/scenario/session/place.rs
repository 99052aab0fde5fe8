//! A node with its addresses: where streams are opened, and how events are published.

use super::nodes::NodeArgs;
use crate::cli::shared::TargetArgs;
use crate::dial;
use crate::message::NodeTarget;
use crate::publisher::recipe::Recipe;
use crate::scenario::ScenarioError;
use crate::server::{Server, ServerError};
use crate::target::{Address, STREAM_PLACEHOLDERS, TargetError};
use crate::template::Template;

/// Fantail's default port for the Redis protocol.
const FANTAIL_INGEST_PORT: u16 = 7379;

/// A node.
pub(super) struct Place {
    pub(super) node: NodeArgs,
    streams: Address,
    /// Ways to publish to it, the usual one first.
    pub(super) recipes: Vec<Recipe>,
}

impl Place {
    /// All nodes. `token` is that of publishing.
    pub(super) fn all(
        target: &TargetArgs,
        token: Option<&String>,
    ) -> Result<Vec<Self>, ScenarioError> {
        let mut places = Vec::new();
        for node in NodeArgs::all(target)? {
            let streams = stream_address(target, &node)?;
            places.push(Self {
                recipes: recipes(target, &node, &streams, token)?,
                streams,
                node,
            });
        }
        Ok(places)
    }

    /// The path and query of its streams.
    pub(super) fn path(&self) -> &str {
        &self.streams.path
    }

    /// Where client processes open its streams.
    pub(super) fn target(&self) -> NodeTarget {
        NodeTarget {
            endpoint: self.streams.endpoint.clone(),
            path: self.streams.path.clone(),
        }
    }

    /// Starts it, if this program is to do so, and waits until it listens everywhere.
    pub(super) fn spawn(&self) -> Result<Option<Server>, ServerError> {
        let Some(command) = &self.node.spawn else {
            return Ok(None);
        };
        let publish = self.recipes.iter().map(|recipe| &recipe.endpoint.addresses);
        let listening = [&self.streams.endpoint.addresses]
            .into_iter()
            .chain(publish);
        Server::spawn(command, listening.cloned().collect()).map(Some)
    }

    /// Of several addresses, those that take connections come first.
    pub(super) fn prefer_reachable(&mut self) {
        dial::prefer_reachable(&mut self.streams.endpoint.addresses);
        for recipe in &mut self.recipes {
            dial::prefer_reachable(&mut recipe.endpoint.addresses);
        }
    }
}

fn stream_address(target: &TargetArgs, node: &NodeArgs) -> Result<Address, TargetError> {
    let mut address = Address::parse("--url", &node.url, &["http", "https"], target.ca.clone())?;
    if target.preset.completes(&address.path) {
        target.preset.stream_path().clone_into(&mut address.path);
    }
    Template::new(&address.path, &STREAM_PLACEHOLDERS)?;
    Ok(address)
}

/// The ways to publish to a node: from the user's options, or from the preset; the usual way first.
fn recipes(
    target: &TargetArgs,
    node: &NodeArgs,
    streams: &Address,
    token: Option<&String>,
) -> Result<Vec<Recipe>, TargetError> {
    let origin = format!("{}://{}", streams.scheme, streams.endpoint.host);
    let urls = match target.publish.is_empty() {
        false => node.publish.clone(),
        true => {
            let port = node.ingest_port.unwrap_or(FANTAIL_INGEST_PORT);
            target.preset.publish_urls(&origin, &streams.host, port)
        }
    };
    let recipe = |url: &String| {
        let allowed = &["http", "https", "resp", "redis"];
        let address = Address::parse("--publish", url, allowed, target.ca.clone())?;
        Recipe::new(&address, target.preset, &target.wishes(token.cloned()))
    };
    urls.iter().map(recipe).collect()
}
