//! What all calls of the public API share.

use std::sync::Arc;

use super::access::Policy;
use super::cors::Cors;
use crate::auth::{Auth, Role};
use crate::hub::Hub;
use crate::server::answers::Answers;
use crate::settings::Settings;
use crate::web::host::{HostPattern, HostRule};

/// What all calls of the public API share.
pub(super) struct Node {
    pub(super) hub: Hub,
    pub(super) cors: Cors,
    /// `None`: all hosts are answered.
    pub(super) hosts: Option<HostRule>,
    pub(super) access: Policy,
    /// The memory of long answers.
    pub(super) answers: Arc<Answers>,
}

impl Node {
    pub(super) fn new(hub: Hub, auth: Arc<Auth>, answers: Arc<Answers>) -> Self {
        let settings = hub.settings();
        Self {
            cors: Cors::new(&settings.cors_origins, settings.cors_credentials),
            hosts: host_rule(settings, &auth),
            access: Policy::new(settings, auth),
            answers,
            hub,
        }
    }
}

/// The hosts that are answered. A node that asks for a token may be reached under any name, unless its operator lists some: a page that has no token
/// learns nothing there.
fn host_rule(settings: &Settings, auth: &Auth) -> Option<HostRule> {
    let is_open = [Role::Subscriber, Role::Publisher]
        .into_iter()
        .any(|role| settings.keys_of(role).is_none() && !auth.has_keys(role));
    (is_open || !settings.hosts.is_empty()).then(|| {
        let mut names = settings.hosts.clone();
        names.push(HostPattern::below_localhost());
        HostRule::new(names)
    })
}
