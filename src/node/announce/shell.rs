//! Words of commands that a person can paste into a shell.

use std::env;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The program's name, used if `PATH` leads to it.
const NAME: &str = "fantail";

/// `word`, quoted so that a shell reads it as one word.
pub(super) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The command that starts this program: its name if `PATH` leads to it, else its path.
pub(super) fn program() -> String {
    let Ok(running) = env::current_exe() else {
        return NAME.to_owned();
    };
    let path = env::var_os("PATH").unwrap_or_default();
    if is_found(&running, &path) {
        NAME.to_owned()
    } else {
        quote(&running.to_string_lossy())
    }
}

/// Whether the first program of our name on `path` is the running one.
fn is_found(running: &Path, path: &OsStr) -> bool {
    let mut programs = env::split_paths(path).map(|directory| directory.join(NAME));
    let first = programs.find(|program| program.is_file());
    first.and_then(|program| program.canonicalize().ok()) == running.canonicalize().ok()
}

/// The address at which a client on this machine reaches a listener on `address`.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, quoted) in [
            ("/etc/fantail.toml", "/etc/fantail.toml"),
            ("", "''"),
            ("a b", "'a b'"),
            ("$HOME", "'$HOME'"),
            ("it's", r"'it'\''s'"),
            ("http://[::1]:1/", "'http://[::1]:1/'"),
        ] {
            assert_eq!(quote(word), quoted);
        }
    }

    #[test]
    fn the_first_program_of_the_path_counts() {
        let directory = tempfile::tempdir().expect("a directory");
        let [ours, theirs, empty] = ["ours", "theirs", "empty"].map(|name| {
            let path = directory.path().join(name);
            std::fs::create_dir(&path).expect("a directory");
            path
        });
        let running = ours.join(NAME);
        std::fs::write(&running, "").expect("a file");
        std::fs::write(theirs.join(NAME), "").expect("a file");
        let is_found_on = |path: &[&Path]| {
            let path = env::join_paths(path).expect("a path");
            is_found(&running, &path)
        };
        assert!(is_found_on(&[&empty, &ours, &theirs]));
        assert!(!is_found_on(&[&theirs, &ours]));
        assert!(!is_found_on(&[&empty]));
    }

    #[test]
    fn what_listens_everywhere_is_reached_by_loopback() {
        for (address, expected) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:2", "[::1]:2"),
            ("192.0.2.1:3", "192.0.2.1:3"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(reachable(address).to_string(), expected);
        }
    }
}
