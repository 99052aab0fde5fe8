//! States that earlier versions wrote. This version reads them.

use std::path::PathBuf;

use super::adopt::{adopt, revive};
use super::{read, sample};
use crate::state::FORMAT_VERSION;

/// Set to write the files of this version.
const UPDATE: &str = "UPDATE_GOLDEN";

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/state")
}

/// The states of this version by name.
fn states() -> [(&'static str, Vec<u8>); 2] {
    [
        ("handover", sample::written(&sample::records())),
        ("history", sample::written(&sample::history())),
    ]
}

#[test]
fn the_format_changed_without_a_new_version() {
    for (name, bytes) in states() {
        let path = directory().join(format!("v{FORMAT_VERSION}-{name}.bin"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::create_dir_all(directory()).expect("a directory");
            std::fs::write(&path, &bytes).expect("a file");
        }
        let golden = std::fs::read(&path).unwrap_or_default();
        assert!(
            golden == bytes,
            "{} is not what this version writes. Released states must stay readable: raise \
             FORMAT_VERSION, keep the file, and run this test with {UPDATE}=1",
            path.display()
        );
    }
}

#[test]
fn states_of_all_versions_are_read() {
    let mut read_files = 0;
    for entry in std::fs::read_dir(directory()).expect("a directory") {
        let path = entry.expect("a file").path();
        let bytes = std::fs::read(&path).expect("a file");
        let records = read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(adopt(&records) | revive(&records), "{}", path.display());
        read_files += 1;
    }
    assert!(read_files >= 2 * FORMAT_VERSION, "a file is missing");
}
