//! Settings that a program makes itself.

use std::time::Duration;

use super::super::kind::Kind;
use super::super::table::{self, Setting};
use super::*;

fn refusal(settings: &Settings) -> String {
    let refused = settings.check();
    refused.expect_err("settings that are refused").to_string()
}

#[test]
fn the_defaults_pass() {
    assert!(Settings::default().check().is_ok());
    assert!(Settings::on_free_ports().check().is_ok());
}

/// Sets a number or a time to one step beyond its bound; `false` for settings of another kind.
fn exceed(setting: &Setting, settings: &mut Settings) -> bool {
    match &setting.kind {
        Kind::Count(bounds, field) | Kind::Bytes(bounds, field) => {
            *field(settings) = usize::try_from(bounds.max).expect("64 bits") + 1;
        }
        Kind::Time(bounds, field) => *field(settings) = bounds.max + Duration::from_millis(1),
        Kind::OptionalTime(bounds, field) => {
            *field(settings) = Some(bounds.max + Duration::from_millis(1));
        }
        _ => return false,
    }
    true
}

#[test]
fn every_bound_of_the_table_holds_for_a_program_too() {
    let mut count = 0;
    for setting in table::all() {
        let mut settings = Settings::default();
        if !exceed(setting, &mut settings) {
            continue;
        }
        count += 1;
        let message = refusal(&settings);
        let start = format!("settings: `{}` = ", setting.key);
        assert!(message.starts_with(&start), "{message}");
        assert!(message.contains(": too large; allowed: "), "{message}");
    }
    assert!(count > 40, "{count}");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let settings = Settings {
        shards: 1_000,
        heartbeat_interval: Duration::ZERO,
        ..Settings::default()
    };
    let message = refusal(&settings);
    let expected = [
        "settings: `shards` = 1000: too large; allowed: 1 to 64, or 0: one a core",
        "settings: `heartbeat_interval` = 0: too small; allowed: 1s to 1h",
    ];
    assert_eq!(message.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn rules_between_settings_hold_for_a_program_too() {
    let settings = Settings {
        listen: "192.0.2.1:80".parse().expect("an address"),
        ..Settings::default()
    };
    assert!(refusal(&settings).starts_with("`listen` = 192.0.2.1:80 is reachable"));
}

#[test]
fn what_a_type_cannot_refuse_is_checked() {
    let user = |name: &str, password: &str| IngestUser {
        name: name.to_owned(),
        password: password.into(),
        publish: Vec::new(),
    };
    let rule = |prefix: &str| SlowConsumerRule {
        prefix: prefix.to_owned(),
        policy: SlowConsumerPolicy::Skip,
    };
    type Spoil = fn(&mut Settings);
    let wrong: [(&str, Spoil); 5] = [
        ("ingest_password", |s| s.ingest_password = Some("".into())),
        ("jwt_secret", |s| {
            s.jwt_keys = Some(KeySource::Secret("".into()));
        }),
        ("jwks_file", |s| {
            s.jwt_keys = Some(KeySource::JwksFile("".into()));
        }),
        ("jwt_issuer", |s| s.jwt_issuer = Some(String::new())),
        ("cookie_name", |s| s.cookie_name = "a b".to_owned()),
    ];
    for (key, spoil) in wrong {
        let mut settings = Settings::default();
        spoil(&mut settings);
        let message = refusal(&settings);
        assert!(
            message.starts_with(&format!("settings: `{key}` = ")),
            "{message}"
        );
    }
    for users in [
        vec![user("default", "p")],
        vec![user("a", "")],
        vec![user("a", "p"), user("a", "q")],
    ] {
        let settings = Settings {
            ingest_users: users,
            ..Settings::default()
        };
        assert!(refusal(&settings).starts_with("settings: `ingest_users` = "));
    }
    for rules in [vec![rule("")], vec![rule("a"), rule("a")]] {
        let settings = Settings {
            slow_consumer_rules: rules,
            ..Settings::default()
        };
        assert!(refusal(&settings).starts_with("settings: `slow_consumer_rules` = "));
    }
}

#[test]
fn a_refusal_shows_no_secret() {
    let settings = Settings {
        ingest_password: Some("hush".repeat(300).into()),
        jwt_keys: Some(KeySource::Secret("hush".into())),
        ..Settings::default()
    };
    let message = refusal(&settings);
    assert!(!message.contains("hush"), "{message}");
    assert!(!format!("{settings:?} {settings:#?}").contains("hush"));
}

#[test]
fn a_url_of_keys_that_a_program_gave_was_not_checked() {
    for url in [
        "http://id.example/",
        "ftp://127.0.0.1/",
        "",
        "https://u:swordfish@id.example/",
    ] {
        let settings = Settings {
            jwt_keys: Some(KeySource::JwksUrl(url.to_owned())),
            ..Settings::default()
        };
        let message = refusal(&settings);
        assert!(message.contains("`jwks_url`"), "{message}");
        assert!(
            message.contains("not a URL that keys may come from"),
            "{message}"
        );
        assert!(!message.contains("swordfish"), "{message}");
    }
}
