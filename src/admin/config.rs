//! The checked settings of the admin listener.

use crate::server::ServerConfig;
use crate::web::host::HostRule;

/// The checked settings of the admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Of its connections and requests.
    pub server: ServerConfig,
    /// Most connections.
    pub connections_max: usize,
    /// Names under which it is reached.
    pub hosts: HostRule,
}
