//! Tokens that the harness makes itself (JSON Web Tokens, RFC 7519): a hundred thousand users need
//! a hundred thousand of them.
//!
//! They are made before anything is measured. Must never show the content of a key: not in an
//! error, a report or a command line.

mod claims;
mod key;
mod store;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::template::TemplateError;
pub(crate) use claims::{Claims, parse};
pub(crate) use key::{ALGORITHMS, Key};
pub(crate) use store::Store;

/// The data from which a client process makes the tokens of its streams.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    /// The signing key.
    pub(crate) key: Key,
    /// Their claims: a template of `--token-claims`.
    pub(crate) claims: String,
    /// `exp`, in seconds since 1970.
    pub(crate) expires: Option<u64>,
}

/// Tokens that cannot be made. Never holds any of a key.
#[derive(Debug, Error)]
pub(crate) enum TokenError {
    /// The file of the key cannot be read.
    #[error("--token-key {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is PEM, and no private key that can be used.
    #[error(
        "--token-key {0}: no private key in PKCS #8 form (RSA, P-256, P-384 or Ed25519); \
         `openssl pkcs8 -topk8 -nodes -in FILE` makes one"
    )]
    Pem(PathBuf),
    /// The key and the algorithm do not go together.
    #[error("--token-algorithm {0}: the key cannot sign with it")]
    Unfit(String),
    /// The secret is empty.
    #[error("{0}: the secret is empty")]
    Empty(&'static str),
    /// The claims are no JSON object.
    #[error("{flag} {text:?}: {error}")]
    Claims {
        /// Their flag.
        flag: &'static str,
        /// The text, with its placeholders replaced.
        text: String,
        /// Why.
        error: serde_json::Error,
    },
    /// An unknown placeholder.
    #[error("--token-claims {0} (write \\u007b for a brace that is to stand)")]
    Template(#[from] TemplateError),
    /// A key without claims.
    #[error(
        "--token-key and --token-secret: there is nothing to sign; give --token-claims for streams or --publish-token-claims for publishing"
    )]
    NothingToSign,
}
