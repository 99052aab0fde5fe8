//! The state that all calls of the public API share.

use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Semaphore;

use super::access::Policy;
use super::config::{ApiConfig, HostsConfig, PublishConfig, SubscribeConfig};
use super::cors::Cors;
use super::subscribe::Bounds;
use crate::auth::{Auth, Role};
use crate::hub::Hub;
use crate::server::answers::Answers;
use crate::web::host::{HostPattern, HostRule};

/// Most arrays that are published in portions at the same time. Their request bodies are already
/// read, so no other bound counts their memory.
const LARGE_ARRAYS_MAX: usize = 4;

/// The state that all calls of the public API share.
pub(super) struct Node {
    pub(super) hub: Hub,
    pub(super) cors: Cors,
    /// `None`: every host is answered.
    pub(super) hosts: Option<HostRule>,
    pub(super) access: Policy,
    pub(super) publish: PublishConfig,
    pub(super) subscribe: SubscribeConfig,
    /// The memory of long answers.
    pub(super) answers: Arc<Answers>,
    /// Permits to publish an array in portions.
    pub(super) large_arrays: Arc<Semaphore>,
}

impl Node {
    pub(super) fn new(
        config: &ApiConfig,
        hub: Hub,
        auth: Arc<Auth>,
        answers: Arc<Answers>,
    ) -> Self {
        Self {
            cors: Cors::new(&config.cors),
            hosts: host_rule(&config.hosts, &auth),
            access: Policy::new(&config.access, auth),
            publish: config.publish,
            subscribe: config.subscribe,
            answers,
            large_arrays: Arc::new(Semaphore::new(LARGE_ARRAYS_MAX)),
            hub,
        }
    }

    /// Bounds of a subscription.
    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            config: &self.subscribe,
            limits: self.hub.event_limits(),
        }
    }

    /// Networks of the proxies that are trusted to name a client's address.
    pub(super) fn trusted_proxies(&self) -> &[IpNet] {
        &self.hub.clients().proxies
    }
}

/// The rule for host names. A node that asks for a token answers to any name, unless its operator
/// lists some: a page without a token learns nothing from it.
fn host_rule(config: &HostsConfig, auth: &Auth) -> Option<HostRule> {
    let is_open = [Role::Subscriber, Role::Publisher]
        .into_iter()
        .any(|role| !config.guarded.contains(&role) && !auth.has_keys(role));
    (is_open || !config.names.is_empty()).then(|| {
        let mut names = config.names.clone();
        names.push(HostPattern::below_localhost());
        HostRule::new(names)
    })
}
