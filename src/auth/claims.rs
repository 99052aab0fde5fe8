//! The grants in the claims of a token, and their lifetime.
//!
//! A claim of the wrong type is an error, never ignored: a misspelt restriction must not become
//! none.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::rules::Bounds;
use super::{Access, Policy, TokenError};
use crate::core::selector::{Selector, Syntax};

/// The claim with a token's grants.
struct MercureClaim {
    name: &'static str,
    publish: &'static str,
    subscribe: &'static str,
}

/// The possible names of the claim; the first one wins. Some identity providers drop claims whose
/// names are not URIs.
const MERCURE_CLAIMS: [MercureClaim; 2] = [
    MercureClaim {
        name: "https://mercure.rocks/",
        publish: "https://mercure.rocks/.publish",
        subscribe: "https://mercure.rocks/.subscribe",
    },
    MercureClaim {
        name: "mercure",
        publish: "mercure.publish",
        subscribe: "mercure.subscribe",
    },
];

const LIST_OF_TEXTS: &str = "must be a list of strings";

/// Reads the grants of the claims at the time `now`.
pub(super) fn read(
    claims: &Map<String, Value>,
    policy: &Policy,
    now: Duration,
) -> Result<Access, TokenError> {
    let ends_unix_ms = lifetime(claims, policy, now)?;
    check_issuer(claims, policy)?;
    check_audience(claims, policy)?;
    let empty = Map::new();
    let [_, usual] = &MERCURE_CLAIMS;
    let named = MERCURE_CLAIMS
        .iter()
        .find_map(|claim| Some((claim, claims.get(claim.name)?)));
    let (claim, mercure) = match named {
        None if is_of_later_version(claims) => return Err(TokenError::OtherVersion),
        None => (usual, &empty),
        Some((claim, value)) => {
            let object = value.as_object();
            (claim, object.ok_or(fault(claim.name, "must be an object"))?)
        }
    };
    let publish = selectors(mercure, "publish", claim.publish, policy)?;
    let mut subscribe = selectors(mercure, "subscribe", claim.subscribe, policy)?;
    let topics = topics(claims, policy)?;
    subscribe.extend(topics.iter().cloned());
    if publish.len() + subscribe.len() > policy.selectors_max {
        return Err(TokenError::TooManySelectors {
            max: policy.selectors_max,
        });
    }
    let topics = shared(topics);
    let subscribe = or_same(shared(subscribe), &topics);
    Ok(Access {
        publish: or_same(shared(publish), &subscribe),
        subscribe,
        topics,
        payload: match mercure.get("payload") {
            None | Some(Value::Null) => None,
            Some(payload) => Some(payload.to_string().into()),
        },
        subject: subject(claims),
        ends_unix_ms,
    })
}

/// The subject of a token. It grants nothing, so a value that is not a text (RFC 7519 §4.1.2
/// requires one, but some issuers write a number) counts as none.
fn subject(claims: &Map<String, Value>) -> Option<Arc<str>> {
    match claims.get("sub")? {
        Value::String(name) if !name.is_empty() => Some(name.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        _ => None,
    }
}

/// Whether a token without the claim `mercure` has its grants in the form of Mercure 1.0 (RFC
/// 9396). Read as a token without grants, it would be refused for the wrong reason, or hear less
/// than it should.
fn is_of_later_version(claims: &Map<String, Value>) -> bool {
    let details = claims.get("authorization_details");
    let kinds = details.and_then(Value::as_array).into_iter().flatten();
    kinds
        .filter_map(|detail| detail.get("type")?.as_str())
        .any(|kind| kind.contains("mercure"))
}

/// The end of the token, leeway included, in milliseconds since the unix epoch, if it is valid now.
fn lifetime(
    claims: &Map<String, Value>,
    policy: &Policy,
    now: Duration,
) -> Result<Option<u64>, TokenError> {
    // All of these may have fractions, so the clock has them, too: a token that was made a moment
    // ago is valid now.
    let (now_s, leeway_s) = (now.as_secs_f64(), policy.leeway.as_secs_f64());
    // Nothing depends on the time of issue, but an invalid time is refused.
    date(claims, "iat")?;
    if date(claims, "nbf")?.is_some_and(|begins| begins > now_s + leeway_s) {
        return Err(TokenError::NotYetValid);
    }
    let Some(ends) = date(claims, "exp")?.map(|ends| ends + leeway_s) else {
        return Ok(None);
    };
    if now_s >= ends {
        return Err(TokenError::Expired);
    }
    Ok(Some(milliseconds(ends)))
}

/// A NumericDate (RFC 7519 §2), in seconds, which may have a fraction.
fn date(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<f64>, TokenError> {
    let number = |value: &Value| {
        value
            .as_f64()
            .ok_or(fault(claim, "must be a number of seconds"))
    };
    claims.get(claim).map(number).transpose()
}

/// Rounded down: a fraction of a millisecond must not make a token live longer.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is before the epoch ended then, and what is beyond all time never ends"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1e3) as u64
}

fn check_issuer(claims: &Map<String, Value>, policy: &Policy) -> Result<(), TokenError> {
    let issuer = match claims.get("iss") {
        None => None,
        Some(value) => Some(value.as_str().ok_or(fault("iss", "must be a string"))?),
    };
    match &policy.issuer {
        Some(wanted) if issuer != Some(wanted) => Err(TokenError::Issuer),
        _ => Ok(()),
    }
}

fn check_audience(claims: &Map<String, Value>, policy: &Policy) -> Result<(), TokenError> {
    let audiences = match claims.get("aud") {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one.as_str()],
        Some(value) => texts(value).ok_or(fault("aud", "must be a string or a list of strings"))?,
    };
    match &policy.audience {
        Some(wanted) if !audiences.contains(&wanted.as_str()) => Err(TokenError::Audience),
        _ => Ok(()),
    }
}

fn selectors(
    mercure: &Map<String, Value>,
    member: &str,
    claim: &'static str,
    policy: &Policy,
) -> Result<BTreeSet<Selector>, TokenError> {
    let texts = match mercure.get(member) {
        // Libraries write absent lists as `null`.
        None | Some(Value::Null) => return Ok(BTreeSet::new()),
        Some(value) => texts(value).ok_or(fault(claim, LIST_OF_TEXTS))?,
    };
    if texts.len() > policy.selectors_max {
        return Err(TokenError::TooManySelectors {
            max: policy.selectors_max,
        });
    }
    let parse = |text| Selector::parse(text, Syntax::Mercure, policy.topic_bytes_max);
    let selectors = texts.into_iter().map(parse).collect::<Result<_, _>>();
    selectors.map_err(|_| fault(claim, "holds a text that is no topic selector"))
}

fn topics(claims: &Map<String, Value>, policy: &Policy) -> Result<BTreeSet<Selector>, TokenError> {
    let bounds = Bounds {
        topic_bytes_max: policy.topic_bytes_max,
        selectors_max: policy.selectors_max,
    };
    let mut topics = BTreeSet::new();
    for rule in &policy.topics_from {
        rule.apply(claims, &bounds, &mut topics)?;
    }
    Ok(topics)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn shared(selectors: BTreeSet<Selector>) -> Arc<[Selector]> {
    if selectors.is_empty() {
        return Arc::default();
    }
    selectors.into_iter().collect()
}

/// Shares one list between two equal ones.
fn or_same(list: Arc<[Selector]>, other: &Arc<[Selector]>) -> Arc<[Selector]> {
    if list == *other {
        Arc::clone(other)
    } else {
        list
    }
}

fn fault(claim: &'static str, fault: &'static str) -> TokenError {
    TokenError::Claim {
        claim: claim.into(),
        fault,
    }
}
