//! Keys, tokens, and what they grant.

use std::time::Duration;

use super::super::bounds::{DAY, HOUR, KIB, MIB, from_to, or_zero, secs};
use super::super::key_source::Form;
use super::super::kind::Kind;
use super::setting::{Group, Setting};

pub(super) const TOKENS: Group = Group {
    title: "Tokens",
    settings: &[
        Setting {
            key: "jwt_secret",
            help: "Secret that signs tokens (better not by flag: other processes see those)",
            kind: Kind::Keys(Form::Secret, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_secret_file",
            help: "File that holds this secret",
            kind: Kind::Keys(Form::SecretFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_key_file",
            help: "File with the public keys or certificates that check tokens",
            kind: Kind::Keys(Form::PemFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwks_file",
            help: "File with the key set that checks tokens",
            kind: Kind::Keys(Form::JwksFile, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwks_url",
            help: "URL of the key set that checks tokens, as identity providers have one",
            kind: Kind::Keys(Form::JwksUrl, |s| &mut s.jwt_keys),
        },
        Setting {
            key: "jwt_algorithm",
            help: "Algorithm of a key that names none; or else HS256, RS256, or what its curve says",
            kind: Kind::Algorithm(|s| &mut s.jwt_algorithm),
        },
        Setting {
            key: "publisher_jwt_secret",
            help: "Secret that signs the tokens of publishers, in place of the keys above (better not by flag: other processes see those)",
            kind: Kind::Keys(Form::Secret, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_secret_file",
            help: "File that holds this secret",
            kind: Kind::Keys(Form::SecretFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_key_file",
            help: "File with the public keys or certificates that check the tokens of publishers, in place of the keys above",
            kind: Kind::Keys(Form::PemFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwks_file",
            help: "File with the key set that checks the tokens of publishers, in place of the keys above",
            kind: Kind::Keys(Form::JwksFile, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwks_url",
            help: "URL of the key set that checks the tokens of publishers, in place of the keys above, as identity providers have one",
            kind: Kind::Keys(Form::JwksUrl, |s| &mut s.publisher_jwt_keys),
        },
        Setting {
            key: "publisher_jwt_algorithm",
            help: "Algorithm of a publisher's key that names none",
            kind: Kind::Algorithm(|s| &mut s.publisher_jwt_algorithm),
        },
        Setting {
            key: "jwt_issuer",
            help: "The only issuer (`iss`) whose tokens are taken",
            kind: Kind::Claim(|s| &mut s.jwt_issuer),
        },
        Setting {
            key: "jwt_audience",
            help: "What the audience (`aud`) of a token must hold",
            kind: Kind::Claim(|s| &mut s.jwt_audience),
        },
        Setting {
            key: "jwt_leeway",
            help: "By how much clocks may differ where `exp` and `nbf` are checked",
            kind: Kind::Time(
                or_zero(from_to(secs(1), secs(10 * 60)), "not at all"),
                |s| &mut s.jwt_leeway,
            ),
        },
        Setting {
            key: "jwks_timeout",
            help: "Time for a key set to be fetched",
            kind: Kind::Time(from_to(Duration::from_millis(100), secs(60)), |s| {
                &mut s.jwks_timeout
            }),
        },
        Setting {
            key: "jwks_max_age",
            help: "Age at which a fetched key set is fetched anew",
            kind: Kind::Time(from_to(secs(1), DAY), |s| &mut s.jwks_max_age),
        },
        Setting {
            key: "jwks_refresh_min",
            help: "Shortest time between two fetches that tokens with unknown keys cause",
            kind: Kind::Time(from_to(Duration::from_millis(100), HOUR), |s| {
                &mut s.jwks_refresh_min
            }),
        },
        Setting {
            key: "jwks_bytes_max",
            help: "Largest key set or PEM file",
            kind: Kind::Bytes(from_to(KIB, 16 * MIB), |s| &mut s.jwks_bytes_max),
        },
        Setting {
            key: "token_bytes_max",
            help: "Longest token",
            kind: Kind::Bytes(from_to(256, 64 * KIB), |s| &mut s.token_bytes_max),
        },
        Setting {
            key: "selectors_per_token_max",
            help: "Most selectors that one token grants, claims and `topics_from` together",
            kind: Kind::Count(from_to(1, 100_000), |s| &mut s.selectors_per_token_max),
        },
        Setting {
            key: "topics_from",
            help: "Rules that make topics of claims, for tokens that know nothing of topics",
            kind: Kind::TopicRules(|s| &mut s.topics_from),
        },
        Setting {
            key: "anonymous",
            help: "Lets streams in that have no token although there are keys; they hear public events only",
            kind: Kind::Switch(|s| &mut s.anonymous),
        },
        Setting {
            key: "cookie_name",
            help: "Cookie that holds a token",
            kind: Kind::CookieName(|s| &mut s.cookie_name),
        },
        Setting {
            key: "mercure_subscriptions",
            help: "Whether subscriptions can be listed, and are published when they start and end",
            kind: Kind::Switch(|s| &mut s.mercure_subscriptions),
        },
        Setting {
            key: "max_patterns",
            help: "Most distinct patterns that streams and their tokens hold together; a stream that asks for others is shed",
            kind: Kind::Count(from_to(1, 1_000_000), |s| &mut s.max_patterns),
        },
        Setting {
            key: "patterns_per_stream_max",
            help: "Most patterns of one stream, those not counted that its token names",
            kind: Kind::Count(from_to(1, 1_000), |s| &mut s.patterns_per_stream_max),
        },
        Setting {
            key: "patterns_per_address_max",
            help: "Most distinct patterns of all streams of one client address, those not counted that their tokens name; a stream that asks for others is shed",
            kind: Kind::Count(or_zero(from_to(1, 1_000_000), "no bound"), |s| {
                &mut s.patterns_per_address_max
            }),
        },
        Setting {
            key: "publish_check_steps_max",
            help: "Most steps, about a nanosecond each, of comparing the topics of one event with its publisher's token; beyond, it is refused",
            kind: Kind::Count(from_to(100_000, 1_000_000_000), |s| {
                &mut s.publish_check_steps_max
            }),
        },
    ],
};
