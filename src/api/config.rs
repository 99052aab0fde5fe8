//! The checked settings of the public API.

use crate::auth::Role;
use crate::server::ServerConfig;
use crate::web::host::HostPattern;
use crate::web::origin::OriginPattern;

/// The checked settings of the public API. Holds no secret.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Config of its listener.
    pub server: ServerConfig,
    /// Most connections that are not streams; 0 = any number.
    pub connections_max: usize,
    /// Host names that are answered.
    pub hosts: HostsConfig,
    /// Pages that may call from a browser.
    pub cors: CorsConfig,
    /// Where tokens are found, and which callers need none.
    pub access: AccessConfig,
    /// Bounds on a publish call.
    pub publish: PublishConfig,
    /// Bounds on a stream.
    pub subscribe: SubscribeConfig,
}

/// Names under which the listener is reached.
#[derive(Clone, Debug, Default)]
pub struct HostsConfig {
    /// The names that an operator listed.
    pub names: Vec<HostPattern>,
    /// The roles whose keys the settings name. Their tokens are needed even while the keys are
    /// still being fetched.
    pub guarded: Vec<Role>,
}

/// Pages that may call from a browser.
#[derive(Clone, Debug, Default)]
pub struct CorsConfig {
    /// Their origins.
    pub origins: Vec<OriginPattern>,
    /// They may send cookies.
    pub credentials: bool,
}

/// Where tokens are found, and which callers need none.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// Streams without a token are accepted even if keys are configured.
    pub anonymous: bool,
    /// Cookie that holds a token.
    pub cookie_name: String,
    /// Subscriptions can be listed.
    pub subscriptions: bool,
}

/// Bounds on a publish call.
#[derive(Clone, Copy, Debug)]
pub struct PublishConfig {
    /// Largest body that is read whole, and longest line of a stream of events, in bytes.
    pub body_bytes_max: usize,
    /// Most events of one array.
    pub batch_max: usize,
    /// Most steps of comparing the topics of one event with a token.
    pub check_steps_max: usize,
}

/// Bounds on a stream.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeConfig {
    /// Most patterns of a stream that its token does not name.
    pub patterns_max: usize,
    /// Starts and ends of the hub's subscriptions are announced.
    pub announces: bool,
}

impl Default for AccessConfig {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            anonymous: false,
            cookie_name: "mercureAuthorization".to_owned(),
            subscriptions: false,
        }
    }
}

impl Default for SubscribeConfig {
    /// The defaults of the settings.
    fn default() -> Self {
        Self {
            patterns_max: 20,
            announces: false,
        }
    }
}
