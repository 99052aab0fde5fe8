//! The checked settings of the public API.

use crate::server::ServerConfig;

/// The checked settings of the public API.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Of its listener.
    pub server: ServerConfig,
    /// Most connections that are not streams; 0 = any number.
    pub connections_max: usize,
}
