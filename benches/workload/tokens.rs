//! Tokens of several algorithms, and the bare check of the same signature by the library
//! underneath.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fantail::auth::{Auth, KeySet, Policy, Role, SigningKey};

const SECRET: &[u8] = b"a-secret-of-at-least-thirty-two-bytes";

/// When the tokens are checked, in seconds since the unix epoch.
const NOW_UNIX_S: u64 = 1_800_000_000;

/// A token of one algorithm.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    token: String,
    auth: Auth,
    bare: Bare,
    signature: Vec<u8>,
}

enum Bare {
    Secret(Box<hmac::Key>),
    Public(ParsedPublicKey),
}

impl Case {
    fn new(name: &'static str, signer: &SigningKey, keys: KeySet, bare: Bare) -> io::Result<Self> {
        let claims = serde_json::json!({
            "mercure": {"subscribe": ["user/42"]},
            "sub": "42",
            "exp": NOW_UNIX_S + 3_600,
        });
        let claims = claims.as_object().ok_or(io::ErrorKind::InvalidData)?;
        let token = signer.sign(claims).map_err(io::Error::other)?;
        let signature = token.rsplit('.').next().unwrap_or_default();
        let auth = Auth::new(Policy::default());
        auth.replace(Role::Subscriber, Arc::new(keys));
        Ok(Self {
            name,
            signature: URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(io::Error::other)?,
            token,
            auth,
            bare,
        })
    }

    /// As a request's token is checked, grants and all.
    pub(crate) fn check(&self) -> bool {
        let access = self.auth.verify(
            Role::Subscriber,
            self.token.as_bytes(),
            Duration::from_secs(NOW_UNIX_S),
        );
        access.is_ok_and(|access| access.subscribe.len() == 1)
    }

    /// The signature alone, with a key that was read before.
    pub(crate) fn check_bare(&self) -> bool {
        let signed = self.token.len() - self.token.rsplit('.').next().map_or(0, str::len) - 1;
        let message = &self.token.as_bytes()[..signed];
        match &self.bare {
            Bare::Secret(key) => hmac::verify(key, message, &self.signature).is_ok(),
            Bare::Public(key) => key.verify_sig(message, &self.signature).is_ok(),
        }
    }
}

/// One case for each family of algorithms; `keys` is the folder of the private and public keys.
pub(crate) fn cases(keys: &std::path::Path) -> io::Result<Vec<Case>> {
    let read = |name: &str| std::fs::read_to_string(keys.join(name));
    let mut cases = vec![Case::new(
        "HS256",
        &SigningKey::from_secret(SECRET, None).map_err(io::Error::other)?,
        KeySet::from_secret(SECRET, None).map_err(io::Error::other)?,
        Bare::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, SECRET))),
    )?];
    let families: [(_, _, &'static dyn VerificationAlgorithm); 3] = [
        ("ES256", "p256", &ECDSA_P256_SHA256_FIXED),
        ("RS256", "rsa", &RSA_PKCS1_2048_8192_SHA256),
        ("EdDSA", "ed25519", &ED25519),
    ];
    for (name, file, algorithm) in families {
        let public = read(&format!("{file}.pub.pem"))?;
        let der = pem::parse(&public).map_err(io::Error::other)?;
        let bare = ParsedPublicKey::new(algorithm, der.contents()).map_err(io::Error::other)?;
        cases.push(Case::new(
            name,
            &SigningKey::from_pem(&read(&format!("{file}.pem"))?, None)
                .map_err(io::Error::other)?,
            KeySet::from_pem(&public, None).map_err(io::Error::other)?,
            Bare::Public(bare),
        )?);
    }
    Ok(cases)
}
