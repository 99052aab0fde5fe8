//! Fetches a key set from its URL.
//!
//! One answer of bounded size within a bounded time. Over https, redirects stay on https. Over
//! plain http, which is for loopback only, no redirect is followed.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::super::apart::apart;

/// Most redirects from the URL to its key set.
const REDIRECTS_MAX: u32 = 3;

/// Fetches one URL repeatedly.
#[derive(Clone)]
pub(super) struct Fetcher {
    agent: Agent,
    url: Arc<str>,
    bytes_max: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("more than {0} bytes (`jwks_bytes_max`)")]
    TooLarge(u64),
    #[error("{0}")]
    Http(ureq::Error),
    #[error("{0}")]
    Thread(io::Error),
}

impl Fetcher {
    pub(super) fn new(url: &str, timeout: Duration, bytes_max: usize) -> Self {
        let https = url
            .get(..6)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"));
        let tls = TlsConfig::builder()
            // The system's certificates, which include those of a company's own identity provider.
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let config = Agent::config_builder()
            .https_only(https)
            .max_redirects(if https { REDIRECTS_MAX } else { 0 })
            .max_redirects_will_error(true)
            .timeout_global(Some(timeout))
            .max_idle_connections(0)
            .user_agent(concat!("fantail/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        // A proxy of the environment is for addresses beyond this machine.
        let config = if https { config } else { config.proxy(None) };
        Self {
            agent: config.build().new_agent(),
            url: url.into(),
            bytes_max: bytes_max as u64,
        }
    }

    /// The bytes of the URL.
    pub(super) async fn get(&self) -> Result<Vec<u8>, FetchError> {
        let fetcher = self.clone();
        let fetched = apart(move || fetcher.get_now()).await;
        fetched
            .map_err(FetchError::Thread)?
            .map_err(|error| match error {
                ureq::Error::BodyExceedsLimit(_) => FetchError::TooLarge(self.bytes_max),
                error => FetchError::Http(error),
            })
    }

    /// The same, on this thread.
    pub(super) fn get_now(&self) -> Result<Vec<u8>, ureq::Error> {
        let request = self.agent.get(&*self.url);
        let request = request.header("accept", "application/jwk-set+json, application/json");
        let mut response = request.call()?;
        response
            .body_mut()
            .with_config()
            .limit(self.bytes_max)
            .read_to_vec()
    }
}
