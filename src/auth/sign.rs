//! Makes tokens: for `fantail token`, and for tests. The node itself signs nothing.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use serde_json::{Map, Value, json};
use thiserror::Error;

use super::algorithm::{Algorithm, Family};
use super::keys::{Key, KeyError};

/// Why a token cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignError {
    /// The key cannot be used for the algorithm.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Not a private key.
    #[error(
        "no PEM text with a private key in PKCS #8 form (RSA, P-256, P-384, P-521 or Ed25519); `openssl pkcs8 -topk8 -nodes -in FILE` makes one"
    )]
    Pem,
    /// The crypto library refuses.
    #[error("the key cannot sign with {0}")]
    Refused(&'static str),
}

/// A key that signs, and its algorithm.
pub struct SigningKey {
    algorithm: Algorithm,
    id: Option<String>,
    material: Material,
}

enum Material {
    Library(jsonwebtoken::Algorithm, EncodingKey),
    P521(Box<EcdsaKeyPair>),
}

impl SigningKey {
    /// A secret for `algorithm`, or else HS256.
    ///
    /// # Errors
    /// [`SignError`], for the same reasons as when the token is checked.
    pub fn from_secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, SignError> {
        let algorithm = algorithm.unwrap_or(Family::Secret.usual());
        // Refused here already, so that the reason is known.
        Key::secret(secret, algorithm)?;
        Self::of_library(algorithm, EncodingKey::from_secret(secret))
    }

    /// A private key in PEM, PKCS #8. RSA keys are for `algorithm`, or else RS256; for the others
    /// the curve decides.
    ///
    /// # Errors
    /// [`SignError`].
    pub fn from_pem(text: &str, algorithm: Option<Algorithm>) -> Result<Self, SignError> {
        let bytes = text.as_bytes();
        let usual = [
            Algorithm::EdDsa,
            Algorithm::Es256,
            Algorithm::Es384,
            Algorithm::Es512,
            Algorithm::Rs256,
        ];
        let tried = algorithm.map_or_else(|| usual.to_vec(), |named| vec![named]);
        for algorithm in &tried {
            let parsed = match algorithm.family() {
                Family::Secret => continue,
                Family::Ed25519 => EncodingKey::from_ed_pem(bytes),
                Family::Rsa => EncodingKey::from_rsa_pem(bytes),
                Family::P256 | Family::P384 | Family::P521 => EncodingKey::from_ec_pem(bytes),
            };
            let Ok(parsed) = parsed else { continue };
            let Ok(key) = Self::of_library(*algorithm, parsed) else {
                continue;
            };
            // A key of another curve is detected by its first signature.
            if key.sign(&Map::new()).is_ok() {
                return Ok(key);
            }
        }
        match algorithm {
            Some(algorithm) => Err(SignError::Refused(algorithm.name())),
            None => Err(SignError::Pem),
        }
    }

    fn of_library(algorithm: Algorithm, key: EncodingKey) -> Result<Self, SignError> {
        let material = match algorithm.of_library() {
            Some(library) => Material::Library(library, key),
            None => {
                let pair =
                    EcdsaKeyPair::from_pkcs8(&ECDSA_P521_SHA512_FIXED_SIGNING, key.as_bytes());
                Material::P521(Box::new(
                    pair.map_err(|_| SignError::Refused(algorithm.name()))?,
                ))
            }
        };
        Ok(Self {
            algorithm,
            id: None,
            material,
        })
    }

    /// The same key; its tokens have the key id `id` (`kid`).
    #[must_use]
    pub fn with_key_id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// A token with these claims.
    ///
    /// # Errors
    /// [`SignError::Refused`] if the key does not fit.
    pub fn sign(&self, claims: &Map<String, Value>) -> Result<String, SignError> {
        let mut header = json!({"alg": self.algorithm.name(), "typ": "JWT"});
        if let Some(id) = &self.id {
            header["kid"] = json!(id);
        }
        let claims = Value::Object(claims.clone());
        self.sign_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// A token with any header and claims, even malformed ones: for tests of the code that reads
    /// tokens.
    ///
    /// # Errors
    /// [`SignError::Refused`] if the key does not fit.
    pub fn sign_bytes(&self, header: &[u8], claims: &[u8]) -> Result<String, SignError> {
        let part = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        let message = format!("{}.{}", part(header), part(claims));
        let refused = || SignError::Refused(self.algorithm.name());
        let signature = match &self.material {
            Material::Library(algorithm, key) => {
                jsonwebtoken::crypto::sign(message.as_bytes(), key, *algorithm)
                    .map_err(|_| refused())?
            }
            Material::P521(key) => {
                let signed = key.sign(&SystemRandom::new(), message.as_bytes());
                URL_SAFE_NO_PAD.encode(signed.map_err(|_| refused())?)
            }
        };
        Ok(format!("{message}.{signature}"))
    }
}
