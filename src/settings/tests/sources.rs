use std::collections::BTreeMap;
use std::io::Write;

use tempfile::NamedTempFile;

use super::super::key_source::Form;
use super::super::kind::Kind;
use super::super::parse;
use super::super::table::{self, Setting};
use super::*;
use crate::core::selector::Selector;

/// Two valid values of the setting, other than its default.
fn samples(setting: &Setting, files: &[NamedTempFile; 2]) -> [String; 2] {
    let texts = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
    match &setting.kind {
        Kind::Address(_) => texts("127.0.0.1:1", "[::1]:2"),
        Kind::Switch(_) => texts("true", "false"),
        Kind::Count(bounds, _) | Kind::Bytes(bounds, _) => {
            [1, 2].map(|less| (bounds.max - less).to_string())
        }
        Kind::Time(bounds, _) | Kind::OptionalTime(bounds, _) => {
            let max = bounds.max.as_millis();
            [1, 2].map(|less| format!("{}ms", max - less))
        }
        Kind::Policy(_) => texts("skip", "latest"),
        Kind::Rules(_) => texts("a=skip,b=latest", "c=skip"),
        Kind::Topics(_) => texts("a,b", "c"),
        Kind::Origins(_) => texts("https://a,https://b", "https://c"),
        Kind::Hosts(_) => texts("a.example,*.b.example", "*"),
        Kind::Networks(_) => texts("10.0.0.0/8,fd00::/8", "192.0.2.1"),
        Kind::Password(_) => texts("one", "two"),
        Kind::PasswordFile(_) => files
            .each_ref()
            .map(|file| file.path().to_string_lossy().into_owned()),
        Kind::Channels(_) => texts("a,b.*", "c"),
        Kind::ChannelTopics(_) => texts("a=x,b.*=y", "c=z"),
        Kind::Users(_) => texts("a:b:*", "c:d:*"),
        Kind::Keys(Form::Secret, _) | Kind::Claim(_) | Kind::CookieName(_) => texts("one", "two"),
        Kind::Keys(Form::JwksUrl, _) => texts("https://a.example/1", "http://[::1]:1/2"),
        Kind::Keys(..) | Kind::Directory(_) => texts("/a", "/b"),
        Kind::LogAddress(_) => texts("redis://a/1", "rediss+sentinel://b,c/d"),
        Kind::RedisKey(_) => texts("one", "two"),
        Kind::Algorithm(_) => texts("PS256", "EdDSA"),
        Kind::TopicRules(_) => texts("user/{sub},all", "role/{roles}"),
        Kind::Filter(_) => texts("debug", "trace"),
        Kind::Format(_) => texts("json", "text"),
    }
}

fn text_file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a temporary file");
    writeln!(file, "{text}").expect("a written file");
    file
}

/// The result of the kinds alone, without the rules between settings (an ingest limit at its upper
/// bound would break some).
fn apply(raw: RawSettings) -> Settings {
    assert_eq!(raw.problems, []);
    let mut settings = Settings::default();
    for value in &raw.values {
        let set = value.setting.kind.set(&mut settings, &value.given);
        assert_eq!(set, Ok(()), "{} by {}", value.setting.key, value.origin);
    }
    settings
}

/// Every setting as it is shown, but secrets in the clear.
fn all(settings: &Settings) -> BTreeMap<&'static str, String> {
    let mut copy = settings.clone();
    let show = |setting: &'static Setting, copy: &mut Settings| match &setting.kind {
        Kind::Password(field) | Kind::PasswordFile(field) => {
            format!("{:?}", field(copy).as_ref().map(Secret::expose))
        }
        Kind::Keys(Form::Secret, field) => match field(copy) {
            Some(KeySource::Secret(secret)) => secret.expose().to_owned(),
            _ => "(not set)".to_owned(),
        },
        kind => kind.show(copy),
    };
    table::all()
        .map(|setting| (setting.key, show(setting, &mut copy)))
        .collect()
}

fn by_file(key: &str, value: &str) -> RawSettings {
    file::parse("fantail.toml", &format!("{key} = {value:?}"))
}

fn by_environment(setting: &Setting, value: &str) -> RawSettings {
    environment::read([(setting.variable().into(), value.into())])
}

fn by_flag(setting: &Setting, value: &str) -> RawSettings {
    flags_of(&[&format!("--{}={value}", setting.flag())])
}

#[test]
fn every_setting_is_set_by_every_way_and_sets_nothing_else() {
    let files = ["one", "two"].map(text_file);
    let defaults = all(&Settings::default());
    for setting in table::all() {
        let [value, _] = samples(setting, &files);
        let ways = [
            by_file(setting.key, &value),
            by_environment(setting, &value),
            by_flag(setting, &value),
        ]
        .map(|raw| all(&apply(raw)));
        assert_eq!(ways[0], ways[1], "{}", setting.key);
        assert_eq!(ways[0], ways[2], "{}", setting.key);
        let changed: Vec<_> = defaults
            .iter()
            .filter(|(key, value)| ways[0][*key] != **value)
            .map(|(key, _)| *key)
            .collect();
        // Both forms of these have one field.
        let two_forms = [
            ["ingest_password", "ingest_password_file"],
            ["redis_pubsub_password", "redis_pubsub_password_file"],
            ["log_password", "log_password_file"],
        ];
        match two_forms.iter().find(|forms| forms.contains(&setting.key)) {
            Some(forms) => assert_eq!(changed, forms),
            None => assert_eq!(changed, [setting.key]),
        }
    }
}

#[test]
fn flag_wins_over_environment_wins_over_file() {
    let files = ["one", "two"].map(text_file);
    for setting in table::all() {
        let [weak, strong] = samples(setting, &files);
        let expected = all(&apply(by_flag(setting, &strong)));

        let mut raw = by_file(setting.key, &weak);
        raw.append(by_environment(setting, &strong));
        assert_eq!(all(&apply(raw)), expected, "{} over the file", setting.key);

        let mut raw = by_environment(setting, &weak);
        raw.append(by_flag(setting, &strong));
        let over = all(&apply(raw));
        assert_eq!(over, expected, "{} over the environment", setting.key);
    }
}

#[test]
fn every_default_can_be_written_as_it_is_shown() {
    let mut defaults = Settings::default();
    for setting in table::all() {
        let shown = setting.kind.show(&mut defaults);
        if !shown.starts_with('(') {
            let settings = apply(by_flag(setting, &shown));
            assert_eq!(all(&settings), all(&defaults), "{} = {shown}", setting.key);
        }
    }
}

#[test]
fn nothing_given_is_the_defaults() {
    let settings = load("", &[], &[]).expect("the defaults");
    assert_eq!(all(&settings), all(&Settings::default()));
}

#[test]
fn a_list_of_a_stronger_source_replaces_and_is_not_added_to() {
    let settings = load(
        "trace_topics = [\"a\", \"b\"]",
        &[("FANTAIL_TRACE_TOPICS", "c")],
        &["--trace-topic", "d", "--trace-topics", "e,f"],
    )
    .expect("settings");
    assert_eq!(settings.trace_topics, ["d", "e", "f"].map(Selector::exact));
}

#[test]
fn what_is_not_set_can_be_set_back() {
    let settings = load("retry = \"3s\"", &[], &["--retry", "none"]).expect("settings");
    assert_eq!(settings.retry, None);
    let settings = load(
        "cors_origins = [\"*\"]\nallow_open_http = true",
        &[],
        &["--cors-origins=", "--allow-open-http=false"],
    )
    .expect("settings");
    assert_eq!(settings.cors_origins, []);
    assert!(!settings.allow_open_http);
}

#[test]
fn sizes_and_times_are_shown_in_whole_units() {
    let shown =
        [0, 1, 1_000, 1_024, 65_536, 3 << 20, (1 << 20) + 1, 1 << 40].map(parse::show_bytes);
    let expected = ["0", "1", "1000", "1KiB", "64KiB", "3MiB", "1048577", "1TiB"];
    assert_eq!(shown, expected);
}

/// `fantail upgrade` was refused: without the other settings, the address broke their rules.
#[test]
fn the_address_of_the_admin_listener_is_found_without_the_other_settings() {
    for (address, others) in [
        ("0.0.0.0:8081", "allow_open_admin = true"),
        ("127.0.0.1:8080", "listen = \"127.0.0.1:8090\""),
        ("127.0.0.1:9", "ingest_password_file = \"/dev/null/none\""),
    ] {
        let mut file = NamedTempFile::new().expect("a file");
        writeln!(file, "admin_listen = {address:?}\n{others}").expect("written");
        let found = load_admin_listen(Some(file.path()), [], RawSettings::default());
        let found = found.map(|found| found.to_string());
        assert_eq!(found.map_err(|error| error.to_string()), Ok(address.into()));
    }
    let flags = flags_of(&["--admin-listen", "nowhere"]);
    let refused = load_admin_listen(None, [], flags).expect_err("no address");
    assert!(refused.to_string().contains("`admin_listen` = \"nowhere\""));
}
