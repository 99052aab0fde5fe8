//! The checked settings of the admin listener.

use crate::server::ServerConfig;
use crate::web::host::HostRule;

/// The checked settings of the admin listener.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// Config of its connections and requests.
    pub server: ServerConfig,
    /// Most connections.
    pub connections_max: usize,
    /// Its host names.
    pub hosts: HostRule,
}
