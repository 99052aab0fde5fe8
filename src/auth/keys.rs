//! Keys that check signatures, from secrets and PEM texts; `super::jwks` makes them from key sets.
//!
//! A key has one algorithm, decided when it is made: a token never chooses how it is checked. Must
//! never show the content of a key.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
};
use jsonwebtoken::DecodingKey;
use thiserror::Error;

use super::algorithm::{Algorithm, Family};

/// Most keys of one set. A token without `kid` is tried against all of them.
pub const KEYS_MAX: usize = 32;
/// Accepted sizes of RSA keys, in bits: those with which the crypto library checks signatures.
pub(super) const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;
/// Bytes of a DER public key around its modulus: a dozen for the frame, up to a dozen for the
/// exponent.
const RSA_DER_OVERHEAD: usize = 24;
/// Start of every block of a PEM text.
const PEM_BEGIN: &str = "-----BEGIN ";

/// Why a key is refused. Never holds any part of it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A secret that is too short and could be guessed.
    #[error(
        "the secret has {length} bytes, and {algorithm} asks for at least {min} (RFC 7518, section 3.2); make one by \
         `openssl rand -base64 {min}`"
    )]
    ShortSecret {
        /// Bytes found.
        length: usize,
        /// Bytes needed.
        min: usize,
        /// Name of the algorithm.
        algorithm: &'static str,
    },
    /// A public key in the place of a secret: the public key is known to everyone, who could make
    /// tokens with it.
    #[error(
        "this is a PEM text, not a secret: a public key or a certificate goes into `jwt_key_file` (for publishers \
         `publisher_jwt_key_file`)"
    )]
    PemSecret,
    /// An algorithm that does not fit the key.
    #[error("{algorithm} does not work with {kind}")]
    Unfit {
        /// Name of the algorithm.
        algorithm: &'static str,
        /// The kind of the key.
        kind: &'static str,
    },
    /// A private key, which the node does not need.
    #[error(
        "this is a private key: signatures are checked with its public half (`openssl pkey -in FILE -pubout`)"
    )]
    Private,
    /// Not PEM, or a key of another kind.
    #[error("no PEM text with a public key or certificate (RSA, P-256, P-384, P-521 or Ed25519)")]
    Pem,
    /// An RSA key that is too small or too large.
    #[error("an RSA key must have {} to {} bits", RSA_BITS.start(), RSA_BITS.end())]
    RsaSize,
    /// Not a point of the curve, not a modulus.
    #[error("the public key is broken")]
    Broken,
    /// Not a JSON Web Key Set.
    #[error("not a JSON Web Key Set: an object with a list `keys`")]
    NotAKeySet,
    /// A set without a usable key.
    #[error("the key set has no key for signatures ({skipped} were passed over)")]
    NoneUsable {
        /// Number of skipped keys.
        skipped: usize,
    },
    /// More keys than the bound.
    #[error("more than {KEYS_MAX} keys that can be used")]
    TooMany,
}

/// The keys of a role.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    pub(super) keys: Vec<Key>,
    pub(super) skipped: usize,
}

impl KeySet {
    /// One secret for `algorithm`, or else HS256.
    ///
    /// # Errors
    /// [`KeyError`] if it is too short, or the algorithm has no secret.
    pub fn from_secret(secret: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let key = Key::secret(secret, algorithm.unwrap_or(Family::Secret.usual()))?;
        Ok(Self::of(vec![key]))
    }

    /// The public keys and certificates of a PEM text. RSA keys are for `algorithm`, or else RS256;
    /// for the others the curve decides.
    ///
    /// # Errors
    /// [`KeyError`] if there is none, or one of them is unusable.
    pub fn from_pem(text: &str, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let blocks: Vec<&str> = text
            .match_indices(PEM_BEGIN)
            .map(|(at, _)| &text[at..])
            .collect();
        match blocks.len() {
            0 => return Err(KeyError::Pem),
            count if count > KEYS_MAX => return Err(KeyError::TooMany),
            _ => {}
        }
        let keys = blocks.into_iter().map(|block| Key::pem(block, algorithm));
        Ok(Self::of(keys.collect::<Result<_, _>>()?))
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has no keys: keys from a URL have not arrived yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of skipped keys of the source: for encryption, or of an unknown kind.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped
    }

    /// Whether its keys have names, but none has this one.
    pub(super) fn lacks(&self, id: &str) -> bool {
        let mut names = self
            .keys
            .iter()
            .filter_map(|key| key.id.as_deref())
            .peekable();
        names.peek().is_some() && names.all(|name| name != id)
    }

    fn of(keys: Vec<Key>) -> Self {
        Self { keys, skipped: 0 }
    }
}

/// One key, and its use.
#[derive(Clone)]
pub(super) struct Key {
    /// Its name in tokens.
    pub(super) id: Option<Arc<str>>,
    pub(super) algorithm: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    /// For the algorithms of the JWT library.
    Library(jsonwebtoken::Algorithm, DecodingKey),
    /// ES512.
    P521(ParsedPublicKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("id", &self.id)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Key {
    pub(super) fn secret(secret: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        fits(algorithm, Family::Secret)?;
        if secret.trim_ascii_start().starts_with(PEM_BEGIN.as_bytes()) {
            return Err(KeyError::PemSecret);
        }
        let min = algorithm.secret_bytes_min();
        if secret.len() < min {
            return Err(KeyError::ShortSecret {
                length: secret.len(),
                min,
                algorithm: algorithm.name(),
            });
        }
        Self::of_library(algorithm, DecodingKey::from_secret(secret))
    }

    /// A public RSA key from its numbers, in big-endian order.
    pub(super) fn rsa(n: &[u8], e: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        fits(algorithm, Family::Rsa)?;
        let significant = n
            .iter()
            .position(|byte| *byte != 0)
            .map_or(&n[..0], |at| &n[at..]);
        let bits = significant.first().map_or(0, |first| {
            significant.len() * 8 - first.leading_zeros() as usize
        });
        if !RSA_BITS.contains(&bits) {
            return Err(KeyError::RsaSize);
        }
        // With an exponent of one, every text would be its own signature.
        let exponent_is_odd = e.last().is_some_and(|last| last % 2 == 1);
        if !exponent_is_odd
            || e.len() > 8
            || matches!(e, [.., 1] if e[..e.len() - 1].iter().all(|b| *b == 0))
        {
            return Err(KeyError::Broken);
        }
        Self::of_library(
            algorithm,
            DecodingKey::from_rsa_raw_components(significant, e),
        )
    }

    /// A point of a curve in the form of certificates: `04`, x, y; for Ed25519 its 32 bytes.
    pub(super) fn point(
        point: &[u8],
        family: Family,
        algorithm: Algorithm,
    ) -> Result<Self, KeyError> {
        fits(algorithm, family)?;
        let parsed = match family {
            Family::P256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            Family::P384 => ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point),
            Family::P521 => ParsedPublicKey::new(&ECDSA_P521_SHA512_FIXED, point),
            Family::Ed25519 => ParsedPublicKey::new(&ED25519, point),
            Family::Secret | Family::Rsa => return Err(KeyError::Broken),
        }
        .map_err(|_| KeyError::Broken)?;
        match family {
            Family::P521 => Ok(Self {
                id: None,
                algorithm,
                material: Material::P521(parsed),
            }),
            Family::Ed25519 => Self::of_library(algorithm, DecodingKey::from_ed_der(point)),
            _ => Self::of_library(algorithm, DecodingKey::from_ec_der(point)),
        }
    }

    /// The first block of a PEM text.
    fn pem(block: &str, algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        let label = block[PEM_BEGIN.len()..].split("-----").next();
        if label.is_some_and(|label| label.contains("PRIVATE KEY")) {
            return Err(KeyError::Private);
        }
        let bytes = block.as_bytes();
        if let Ok(key) = DecodingKey::from_ed_pem(bytes) {
            let family = Family::Ed25519;
            return Self::point(der(&key)?, family, algorithm.unwrap_or(family.usual()));
        }
        if let Ok(key) = DecodingKey::from_ec_pem(bytes) {
            let point = der(&key)?;
            let family = match point.len() {
                65 => Family::P256,
                97 => Family::P384,
                133 => Family::P521,
                _ => return Err(KeyError::Pem),
            };
            return Self::point(point, family, algorithm.unwrap_or(family.usual()));
        }
        let key = DecodingKey::from_rsa_pem(bytes).map_err(|_| KeyError::Pem)?;
        let algorithm = algorithm.unwrap_or(Family::Rsa.usual());
        fits(algorithm, Family::Rsa)?;
        let public = der(&key)?;
        ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public).map_err(|_| KeyError::Broken)?;
        // The library that checks signatures has exact bounds in bits; this check only fails
        // earlier.
        let (min, max) = (RSA_BITS.start() / 8, RSA_BITS.end() / 8 + RSA_DER_OVERHEAD);
        if !(min..=max).contains(&public.len()) {
            return Err(KeyError::RsaSize);
        }
        Self::of_library(algorithm, key)
    }

    fn of_library(algorithm: Algorithm, key: DecodingKey) -> Result<Self, KeyError> {
        let library = algorithm.of_library().ok_or(KeyError::Broken)?;
        Ok(Self {
            id: None,
            algorithm,
            material: Material::Library(library, key),
        })
    }

    /// Whether `signature`, in base64url, is this key's signature of `message`. Secrets are
    /// compared in constant time.
    pub(super) fn signed(&self, message: &[u8], signature: &str) -> bool {
        match &self.material {
            Material::Library(algorithm, key) => {
                jsonwebtoken::crypto::verify(signature, message, key, *algorithm).unwrap_or(false)
            }
            Material::P521(key) => super::base64url::decode(signature)
                .is_some_and(|signature| key.verify_sig(message, &signature).is_ok()),
        }
    }
}

fn fits(algorithm: Algorithm, family: Family) -> Result<(), KeyError> {
    if algorithm.family() == family {
        return Ok(());
    }
    Err(KeyError::Unfit {
        algorithm: algorithm.name(),
        kind: family.name(),
    })
}

fn der(key: &DecodingKey) -> Result<&[u8], KeyError> {
    key.try_get_as_bytes().map_err(|_| KeyError::Pem)
}
