//! The units in `examples/systemd/`, which the documentation quotes.

use std::fs;
use std::process::Command;

use crate::document;

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/systemd");
const UNITS: [&str; 2] = ["fantail.service", "fantail.socket"];

/// Where the service unit has the program.
const INSTALLED: &str = "/usr/local/bin/fantail";

#[test]
fn the_documentation_shows_the_units_as_they_are() {
    for name in UNITS {
        let text = fs::read_to_string(format!("{DIRECTORY}/{name}")).expect("a unit");
        document::has(
            &format!(
                "<!-- examples/systemd/{name}: begin (copied from the file; do not edit) -->\n"
            ),
            &format!("```ini\n{text}```\n"),
            &format!("<!-- examples/systemd/{name}: end -->\n"),
        );
    }
}

/// Only where systemd is installed: elsewhere nothing can judge them.
#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let units = UNITS.map(|name| {
        let text = fs::read_to_string(format!("{DIRECTORY}/{name}")).expect("a unit");
        let path = folder.path().join(name);
        // The program has to be there.
        let text = text.replace(INSTALLED, env!("CARGO_BIN_EXE_fantail"));
        fs::write(&path, text).expect("a folder");
        path
    });
    let verify = Command::new("systemd-analyze")
        .arg("verify")
        .args(&units)
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&verify.stderr);
    assert!(verify.status.success(), "{said}");
    let ours = said.lines().find(|line| line.contains("fantail."));
    assert_eq!(ours, None, "{said}");
}
