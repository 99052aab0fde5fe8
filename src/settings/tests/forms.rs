use std::fs;
use std::io::Write;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::*;
use crate::core::selector::Selector;

#[test]
fn the_file_takes_toml_types_and_the_words_of_flags_alike() {
    let settings = load(
        r#"
        listen = "[::1]:9000"
        shards = 0x4
        max_streams = 1_000_000
        history_bytes = "2 MiB"
        data_bytes_max = 65536
        heartbeat_interval = "1m 30s"
        ingest_idle_timeout = 0
        slow_consumer = "skip"
        slow_consumer_rules = ["chat:=disconnect", "price=eur:=latest"]
        cors_origins = "https://A.example:443, http://b.example:8080, http://[0:0::1]:80"
        hosts = ["a.example", "*.b.example"]
        cors_credentials = true
        log_format = "json"
        trace_topics = ["a,b"]
        "#,
        &[],
        &[],
    )
    .expect("settings");
    assert_eq!(settings.listen.to_string(), "[::1]:9000");
    assert_eq!(settings.shards, 4);
    assert_eq!(settings.max_streams, 1_000_000);
    assert_eq!(settings.history_bytes, 2 << 20);
    assert_eq!(settings.event_limits.data_bytes_max, 65_536);
    assert_eq!(settings.heartbeat_interval, Duration::from_secs(90));
    assert_eq!(settings.ingest_idle_timeout, Duration::ZERO);
    assert_eq!(settings.slow_consumer, SlowConsumerPolicy::Skip);
    let rules = settings.slow_consumer_rules.iter();
    let rules: Vec<_> = rules.map(|r| (r.prefix.as_str(), r.policy)).collect();
    assert_eq!(
        rules,
        [
            ("chat:", SlowConsumerPolicy::Disconnect),
            ("price=eur:", SlowConsumerPolicy::Latest)
        ]
    );
    // As browsers write them.
    let origins = ["https://a.example", "http://b.example:8080", "http://[::1]"];
    let origins = origins.map(|origin| origin.parse().expect(origin));
    assert_eq!(settings.cors_origins, origins);
    let hosts = ["a.example", "*.b.example"].map(|host| host.parse().expect(host));
    assert_eq!(settings.hosts, hosts);
    assert!(settings.cors_credentials);
    assert_eq!(settings.log_format, LogFormat::Json);
    assert_eq!(settings.trace_topics, [Selector::exact("a,b")]);
}

#[test]
fn users_are_tables_in_the_file_and_texts_elsewhere() {
    let expected = [
        IngestUser {
            name: "shop".to_owned(),
            password: "s3cret".into(),
            publish: ["orders:*", "stock"]
                .map(|glob| glob.parse().expect("a glob"))
                .into(),
        },
        IngestUser {
            name: "muted".to_owned(),
            password: "p".into(),
            publish: Vec::new(),
        },
    ];
    let file = r#"
        [[ingest_users]]
        name = "shop"
        password = "s3cret"
        publish = ["orders:*", "stock"]
        [[ingest_users]]
        name = "muted"
        password = "p"
        publish = []
        "#;
    let texts = ["shop:s3cret:orders:*,stock", "muted:p:"];
    let variable = [("FANTAIL_INGEST_USERS", &*texts.join(";"))];
    let flags = ["--ingest-user", texts[0], "--ingest-user", texts[1]];
    for settings in [
        load(file, &[], &[]),
        load("", &variable, &[]),
        load("", &[], &flags),
    ] {
        assert_eq!(settings.expect("settings").ingest_users, expected);
    }
}

#[test]
fn secrets_are_never_shown() {
    let settings = load(
        "",
        &[("FANTAIL_INGEST_PASSWORD", "hush")],
        &["--ingest-user", "shop:hush:*"],
    )
    .expect("settings");
    let shown = format!("{settings:?} {:#?}", settings.ingest_users);
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("ingest_password: (hidden)"), "{shown}");
    assert!(shown.contains("ingest_users: shop"), "{shown}");

    for message in [
        refusal("ingest_users = [\"shop:hush\"]", &[], &[]),
        refusal("ingest_users = \"default:hush:*\"", &[], &[]),
        refusal("ingest_users = [{name = \"hush\"}]", &[], &[]),
        refusal("ingest_password = [\"hush\"]", &[], &[]),
        refusal("ingest_password = \"hush", &[], &[]),
        refusal("ingest_password = \"hush\"\nshards = [", &[], &[]),
        refusal("", &[("FANTAIL_INGEST_USERS", "a:hush:*;a:hush:*")], &[]),
    ] {
        assert!(!message.contains("hush"), "{message}");
    }
}

#[test]
fn a_password_file_is_read_without_its_line_end() {
    let mut file = NamedTempFile::new().expect("a temporary file");
    write!(file, "s3cret \r\n").expect("a written file");
    let path = file.path().to_string_lossy();
    let settings = load("", &[("FANTAIL_INGEST_PASSWORD_FILE", &path)], &[]).expect("settings");
    assert_eq!(settings.ingest_password, Some("s3cret ".into()));

    // A byte order mark does not count: behind one, the longest password is read whole, and a
    // longer one is not cut.
    for mark in ["", "\u{feff}"] {
        let longest = "x".repeat(1_024);
        fs::write(file.path(), format!("{mark}{longest}\r\n")).expect("a written file");
        let settings = load("", &[("FANTAIL_INGEST_PASSWORD_FILE", &path)], &[]);
        assert_eq!(
            settings.expect("settings").ingest_password,
            Some(longest.into())
        );
        for too_long in [1_025, 1_027, 2_000] {
            fs::write(file.path(), mark.to_owned() + &"x".repeat(too_long))
                .expect("a written file");
            refusal("", &[], &["--ingest-password-file", &path]);
        }
        let message = refusal("", &[], &["--ingest-password-file", &path]);
        assert!(message.contains("more than 1026 bytes"), "{message}");
    }
    fs::write(file.path(), "\n").expect("a written file");
    let message = refusal("", &[], &["--ingest-password-file", &path]);
    assert!(message.contains(": empty; allowed: a path to"), "{message}");
}

#[test]
fn either_form_of_the_password_replaces_the_other_from_a_stronger_source() {
    let settings = load(
        "ingest_password_file = \"/dev/null/no-such-file\"",
        &[],
        &[],
    );
    assert!(settings.is_err(), "a file that is not there is refused");

    let mut file = NamedTempFile::new().expect("a temporary file");
    writeln!(file, "weak").expect("a written file");
    let toml = format!("ingest_password_file = {:?}", file.path());
    let strong = [("FANTAIL_INGEST_PASSWORD", "strong")];
    let settings = load(&toml, &strong, &[]).expect("settings");
    assert_eq!(settings.ingest_password, Some("strong".into()));
}

#[test]
fn variables_that_are_not_ours_or_empty_are_left_alone() {
    let settings = load(
        "",
        &[
            ("PATH", "/bin"),
            ("FANTAIL", "x"),
            ("FANTAIL_CONFIG", "fantail.toml"),
            ("FANTAIL_INGEST_PASSWORD", ""),
            // Variables of Kubernetes for services called `fantail` and `fantail-ingest`.
            ("FANTAIL_SERVICE_HOST", "10.0.0.1"),
            ("FANTAIL_SERVICE_PORT_HTTP", "80"),
            ("FANTAIL_PORT", "tcp://10.0.0.1:80"),
            ("FANTAIL_INGEST_PORT_7379_TCP_ADDR", "10.0.0.2"),
        ],
        &[],
    )
    .expect("settings");
    assert_eq!(settings.ingest_password, None);
}

#[test]
fn the_environment_names_the_file() {
    let variables = |value: &str| vec![("FANTAIL_CONFIG".into(), OsString::from(value))];
    assert_eq!(config_file(&variables("a.toml")), Some("a.toml".into()));
    assert_eq!(config_file(&variables("")), None);
    assert_eq!(config_file(&[]), None);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = Path::new("/dev/null/fantail.toml");
    let error = super::load_from(missing).expect_err("no such file");
    let message = error.to_string();
    assert!(
        message.starts_with("/dev/null/fantail.toml: cannot read the configuration file: "),
        "{message}"
    );
    let endless = super::load_from(Path::new("/dev/zero")).expect_err("too long");
    assert!(endless.to_string().contains("more than 1048576 bytes"));
}

#[test]
fn free_ports_are_on_loopback_and_pass_the_rules() {
    let settings = Settings::on_free_ports();
    assert_eq!(rules::conflicts(&settings), []);
    for address in [
        settings.listen,
        settings.ingest_listen,
        settings.admin_listen,
    ] {
        assert!(address.ip().is_loopback() && address.port() == 0);
    }
}
