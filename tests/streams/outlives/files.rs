//! Files that cannot be used, and disks that take nothing.

use std::fs;
use std::process::Command;

use super::start::refused;
use super::*;

/// A home whose complete history has three events, and the cursor of the first.
fn stopped() -> (Home, String) {
    let home = Home::new(&[]);
    let mut node = home.start();
    let ids = Publisher::open(node.ingest)
        .publish_all("t", ["0", "1", "2"].map(str::to_owned).into_iter());
    node.stop();
    (home, ids[0].clone())
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside_with_a_warning() {
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("truncated", |file| {
            let bytes = fs::read(file).expect("a file");
            fs::write(file, &bytes[..bytes.len() - 9]).expect("written");
        }),
        ("wrong checksum", |file| {
            let mut bytes = fs::read(file).expect("a file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(file, bytes).expect("written");
        }),
        ("no state of Fantail", |file| {
            fs::write(file, "# a log\n").expect("written")
        }),
        ("needs a reader of format", |file| {
            let mut bytes = fs::read(file).expect("a file");
            bytes[8] = 99;
            bytes[12] = 99;
            let checksum = crc32fast::hash(&bytes[..16]).to_le_bytes();
            bytes[16..20].copy_from_slice(&checksum);
            fs::write(file, bytes).expect("written");
        }),
        ("no regular file", |file| {
            fs::remove_file(file).expect("a file");
            fs::create_dir(file).expect("a directory");
        }),
    ];
    for (reason, damage) in damages {
        let (home, first) = stopped();
        damage(&home.file("history-complete"));
        let mut node = home.start();
        let logged = node.logged();
        let warnings = logged.lines().filter(|line| line.contains("WARN"));
        let warnings: Vec<_> = warnings.filter(|line| line.contains("history")).collect();
        assert_eq!(warnings.len(), 1, "{reason}: {logged}");
        assert!(warnings[0].contains(reason), "{reason}: {logged}");
        assert_eq!(home.histories(), ["history-complete.unreadable"]);
        let told = all_after(&node, "/events/t", "t", &first);
        assert!(
            told[0].starts_with(&format!("unknown {first}..")),
            "{told:?}"
        );
        assert_eq!(told[1..], ["live"], "no event is invented");
        // The node keeps a history again.
        let next = Publisher::open(node.ingest).publish("t", "next");
        assert_eq!(node.stop().code(), Some(0));
        let node = home.start();
        assert_eq!(all_after(&node, "/events/t", "t", &next), ["live"]);
    }
}

/// A disk without room: the node serves, says so once, and keeps the file that it has.
#[test]
fn a_full_disk_leaves_the_old_file() {
    let home = Home::new(&["--history-snapshot-interval", "1s"]);
    let mut node = home.start();
    let first = Publisher::open(node.ingest).publish("t", "first");
    node.stop();
    let before = fs::read(home.file("history-complete")).expect("a file");

    // 64 blocks of 1,024 bytes, or of 512.
    let flags = home.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut node = Node::start_with_file_blocks(64, &flags);
    let mut publisher = Publisher::open(node.ingest);
    let large = "x".repeat(100_000);
    let lost = publisher.publish("t", &large);
    wait_until("a file could not be written", || {
        metric(&node, "fantail_history_file_failures_total") > 1.0
    });
    assert_eq!(publisher.publish("t", "it serves").len(), lost.len());
    let running = fs::read(home.file("history-running")).expect("a file");
    assert_eq!(running, before, "untouched");
    assert_eq!(node.stop().code(), Some(0), "{}", node.logged());
    let logged = node.logged();
    assert_eq!(
        logged.matches("could not be written").count(),
        2,
        "once a minute, and at the end: {logged}"
    );
    assert_eq!(home.histories(), ["history-running"]);

    let node = home.start();
    let told = all_after(&node, "/events/t", "t", &first);
    assert_gap_after(&first, &told[0]);
    assert_eq!(told[1..], ["live"]);
    let told = all_after(&node, "/events/t", "t", &lost);
    assert_gap_after(&lost, &told[0]);
}

/// Somebody else can write to the directory.
#[test]
fn a_link_in_the_directory_led_the_node_to_a_file_of_somebody_else() {
    for name in ["newest-id", "lock"] {
        let home = Home::new(&[]);
        let precious = home.directory.path().join("precious");
        fs::write(&precious, "precious").expect("written");
        fs::create_dir(home.path()).expect("a directory");
        std::os::unix::fs::symlink(&precious, home.file(name)).expect("a link");
        let said = refused(&home.flags());
        assert!(said.contains("state_dir"), "{name}: {said}");
        assert_eq!(fs::read(&precious).expect("a file"), b"precious");
    }
}

#[test]
fn a_pipe_in_the_directory_stopped_the_start_for_ever() {
    for name in ["newest-id", "lock"] {
        let home = Home::new(&[]);
        fs::create_dir(home.path()).expect("a directory");
        let made = Command::new("mkfifo").arg(home.file(name)).status();
        assert!(made.expect("mkfifo runs").success());
        let said = refused(&home.flags());
        assert!(said.contains("state_dir"), "{name}: {said}");
    }
}
