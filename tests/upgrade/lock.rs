//! The lock of the state directory.

use std::fs::{self, File};
use std::path::Path;
use std::thread::{self, JoinHandle};

use rustix::fs::{FlockOperation, flock};

use crate::changed::Configured;
use crate::node::{Upgraded, publish};
use crate::support::wait_until;

/// Whether a directory's lock is free.
fn is_free(directory: &Path) -> bool {
    let lock = File::open(directory.join("lock")).expect("a file");
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

/// Tries to lock a directory until it succeeds.
fn rival(directory: &Path) -> JoinHandle<()> {
    let lock = File::open(directory.join("lock")).expect("a file");
    thread::spawn(move || {
        wait_until("the lock is free", || {
            // More often than other conditions.
            (0..10_000).any(|_| {
                thread::yield_now();
                flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
            })
        });
    })
}

/// It was free while a program ended and the next one started.
#[test]
fn another_process_never_gets_the_lock_over_upgrades() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut upgraded = Upgraded::start(&["--state-dir", state.to_str().expect("text")]);
    let rival = rival(&state);
    for round in 0..5 {
        upgraded.upgrade();
        publish(&upgraded.node, "t", "x");
        assert!(!rival.is_finished(), "{round}");
    }
    assert!(upgraded.node.stop().success());
    rival.join().expect("the lock is free at last");
    assert!(state.join("history-complete").exists());
}

#[test]
fn the_lock_of_a_former_state_directory_ends_with_an_upgrade() {
    let folder = tempfile::tempdir().expect("a folder");
    let [first, second, moved] = ["first", "second", "moved"].map(|name| folder.path().join(name));
    let configured = Configured::start(&format!("state_dir = {first:?}\n"));
    assert!(!is_free(&first));
    configured.upgrade_with(&format!("state_dir = {second:?}\n"));
    assert!(is_free(&first) && !is_free(&second));
    // Another directory has its name.
    fs::rename(&second, &moved).expect("a folder");
    configured.upgrade_with(&format!("state_dir = {second:?}\n"));
    assert!(is_free(&moved) && !is_free(&second));
    configured.upgrade_with("");
    assert!(is_free(&second));
}

/// A child that rehearsed had the descriptor, too.
#[test]
fn a_refused_upgrade_leaves_the_lock_with_the_node() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let mut upgraded = Upgraded::start(&["--state-dir", state.to_str().expect("text")]);
    upgraded
        .install_script("case $FANTAIL_HANDOVER in rehearse*) exit 3;; esac\nexec $REAL \"$@\"");
    upgraded.refused();
    assert!(!is_free(&state));
    assert!(upgraded.node.stop().success());
    assert!(is_free(&state));
}
