//! Keys from a JSON Web Key Set (RFC 7517, RFC 7518 §6, RFC 8037 §2).
//!
//! Identity providers also publish keys for other uses, and of future kinds: unusable keys are
//! skipped and counted. A set without a usable key is refused, so that a wrong file is not mistaken
//! for an empty set of permissions. Secrets are accepted only from a set that is the node's own,
//! never from one that others can fetch: any reader of the set could make tokens.

use serde_json::{Map, Value};

use super::algorithm::{Algorithm, Family};
use super::base64url;
use super::keys::{KEYS_MAX, Key, KeyError, KeySet};
use crate::bom;

/// Longest `kid` of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 1_024;

impl KeySet {
    /// The signature keys of a JSON Web Key Set that only the node reads; it may hold secrets. A
    /// key's `alg` decides its use. Without `alg` it is `algorithm` if given, or else the default
    /// for its kind.
    ///
    /// # Errors
    /// [`KeyError`] if it is not a key set, or has no usable key.
    pub fn from_jwks(text: &[u8], algorithm: Option<Algorithm>) -> Result<Self, KeyError> {
        Self::from_set(text, algorithm, |_| true)
    }

    /// The same for a set that others can read as well: secrets in it are skipped.
    ///
    /// # Errors
    /// [`KeyError`] if it is not a key set, or has no usable key.
    pub fn from_published_jwks(
        text: &[u8],
        algorithm: Option<Algorithm>,
    ) -> Result<Self, KeyError> {
        Self::from_set(text, algorithm, |family| family != Family::Secret)
    }

    fn from_set(
        text: &[u8],
        algorithm: Option<Algorithm>,
        is_taken: fn(Family) -> bool,
    ) -> Result<Self, KeyError> {
        let set: Value =
            serde_json::from_slice(bom::skip(text)).map_err(|_| KeyError::NotAKeySet)?;
        let members = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(KeyError::NotAKeySet)?;
        // Only usable keys are tried, so only those are counted against the bound; the size of the
        // set bounds the others.
        let usable = members
            .iter()
            .filter_map(|member| key(member.as_object()?, algorithm, is_taken));
        let keys: Vec<Key> = usable.take(KEYS_MAX + 1).collect();
        if keys.len() > KEYS_MAX {
            return Err(KeyError::TooMany);
        }
        let skipped = members.len() - keys.len();
        if keys.is_empty() {
            return Err(KeyError::NoneUsable { skipped });
        }
        Ok(Self { keys, skipped })
    }
}

fn key(
    member: &Map<String, Value>,
    algorithm: Option<Algorithm>,
    is_taken: fn(Family) -> bool,
) -> Option<Key> {
    let member = &Members(member);
    if !is_for_signatures(member) {
        return None;
    }
    let family = family(member).filter(|family| is_taken(*family))?;
    let algorithm = match member.get("alg") {
        Some(name) => Algorithm::named(name.as_str()?)?,
        None => algorithm.unwrap_or(family.usual()),
    };
    let bytes = |name: &str| base64url::decode(member.get(name)?.as_str()?);
    let mut key = match family {
        Family::Secret => Key::secret(&bytes("k")?, algorithm),
        Family::Rsa => Key::rsa(&bytes("n")?, &bytes("e")?, algorithm),
        Family::Ed25519 => Key::point(&bytes("x")?, family, algorithm),
        Family::P256 | Family::P384 | Family::P521 => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let point = [&[4], x.as_slice(), y.as_slice()].concat();
            // Both halves have their full length (RFC 7518 §6.2.1.2); otherwise they are not a
            // point, or not this one.
            (x.len() == y.len())
                .then_some(())
                .ok_or(KeyError::Broken)
                .and_then(|()| Key::point(&point, family, algorithm))
        }
    }
    .ok()?;
    key.id = match member.get("kid") {
        None => None,
        Some(id) => Some(
            id.as_str()
                .filter(|id| id.len() <= KEY_ID_BYTES_MAX)?
                .into(),
        ),
    };
    Some(key)
}

/// The members of a key. Libraries write absent members as `null`.
struct Members<'a>(&'a Map<String, Value>);

impl<'a> Members<'a> {
    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }
}

fn is_for_signatures(member: &Members<'_>) -> bool {
    let used_for = member.get("use").is_none_or(|used| used == "sig");
    let verifies = |operations: &Value| {
        let list = operations.as_array();
        list.is_some_and(|list| list.iter().any(|operation| operation == "verify"))
    };
    used_for && member.get("key_ops").is_none_or(verifies)
}

fn family(member: &Members<'_>) -> Option<Family> {
    let text = |name| member.get(name).and_then(Value::as_str);
    match (text("kty")?, text("crv")) {
        ("oct", _) => Some(Family::Secret),
        ("RSA", _) => Some(Family::Rsa),
        ("EC", Some("P-256")) => Some(Family::P256),
        ("EC", Some("P-384")) => Some(Family::P384),
        ("EC", Some("P-521")) => Some(Family::P521),
        ("OKP", Some("Ed25519")) => Some(Family::Ed25519),
        _ => None,
    }
}
