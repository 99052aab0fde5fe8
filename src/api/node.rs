//! What all calls of the public API share.

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

/// Arrays that are published in portions at the same time. Their memory is that of request bodies
/// that are no longer read, which no other bound counts.
const LARGE_ARRAYS_MAX: usize = 4;

/// What all calls of the public API share.
pub(super) struct Node {
    pub(super) hub: Hub,
    pub(super) cors: Cors,
    /// `None`: all hosts are answered.
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

    /// What bounds a subscription.
    pub(super) fn bounds(&self) -> Bounds<'_> {
        Bounds {
            config: &self.subscribe,
            limits: self.hub.event_limits(),
        }
    }

    /// Networks of proxies, whose word for a client's address is taken.
    pub(super) fn trusted_proxies(&self) -> &[IpNet] {
        &self.hub.clients().proxies
    }
}

/// The hosts that are answered. A node that asks for a token may be reached under any name, unless
/// its operator lists some: a page that has no token learns nothing there.
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
