//! Parses a token: JWS compact serialization (RFC 7515 §7.1), and checks its signature.
//!
//! The claims are not interpreted before the signature is right. Must never let the header choose
//! anything but one of the configured keys: `jku`, `jwk` and `x5u` are not read, and `crit` and
//! `b64` are refused.

use serde_json::{Map, Value};

use super::TokenError;
use super::algorithm::Algorithm;
use super::base64url::decode;
use super::keys::{Key, KeySet};

/// The relevant members of the header.
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
}

/// The claims of a token that one of `keys` signed.
pub(super) fn verify(token: &[u8], keys: &KeySet) -> Result<Map<String, Value>, TokenError> {
    let token = std::str::from_utf8(token).map_err(|_| TokenError::Malformed)?;
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = message.split_once('.').ok_or(TokenError::Malformed)?;
    let header = read_header(header)?;
    // Before the signature is checked, so that only well-formed tokens reach the crypto library.
    let claims = decode(claims).ok_or(TokenError::Malformed)?;
    decode(signature).ok_or(TokenError::Malformed)?;
    let candidates = choose(&header, keys)?;
    if !candidates
        .iter()
        .any(|key| key.signed(message.as_bytes(), signature))
    {
        return Err(match header.key_id {
            Some(id) if keys.lacks(&id) => TokenError::UnknownKey,
            _ => TokenError::Signature,
        });
    }
    serde_json::from_slice(&claims).map_err(|_| TokenError::Claims)
}

fn read_header(text: &str) -> Result<Header, TokenError> {
    let bytes = decode(text).ok_or(TokenError::Malformed)?;
    let header: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed)?;
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(TokenError::Critical);
    }
    let algorithm = header
        .get("alg")
        .and_then(Value::as_str)
        .ok_or(TokenError::Malformed)?;
    Ok(Header {
        algorithm: Algorithm::named(algorithm).ok_or(TokenError::Algorithm)?,
        key_id: match header.get("kid") {
            None | Some(Value::Null) => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(TokenError::Malformed),
        },
    })
}

/// The candidate keys: those with its `kid`, if keys have one, and with its algorithm.
fn choose<'a>(header: &Header, keys: &'a KeySet) -> Result<Vec<&'a Key>, TokenError> {
    let named = |key: &&Key| match (&header.key_id, &key.id) {
        (Some(wanted), Some(id)) => **wanted == **id,
        _ => true,
    };
    let mut named = keys.keys.iter().filter(named).peekable();
    if named.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    let fitting = named.filter(|key| key.algorithm == header.algorithm);
    let candidates: Vec<_> = fitting.collect();
    if candidates.is_empty() {
        return Err(TokenError::Algorithm);
    }
    Ok(candidates)
}
