//! The code and the commands in `docs/INTEGRATIONS.md`. What the tests run is what is shown there.
//!
//! A block of code names its file in its first line. It is the whole file, or takes the place of the
//! line with [`MARK`] in a file of the project around it.

use std::fs;
use std::path::{Path, PathBuf};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/INTEGRATIONS.md");

/// In a line of the files that a framework makes for a new project: here belongs a part of the
/// document.
const MARK: &str = "(docs/INTEGRATIONS.md)";

/// How lines begin that may name a file.
const COMMENTS: [&str; 3] = ["// ", "# ", "<!-- "];

/// The port of the applications in the document.
const PORT: &str = "3000";

/// A block of the document.
struct Block {
    language: String,
    text: String,
}

impl Block {
    /// The file that its first line names (its second one, in a whole file of PHP).
    fn file(&self) -> &str {
        let line = self.text.lines().find(|line| *line != "<?php");
        let named = line.and_then(|line| COMMENTS.iter().find_map(|sign| line.strip_prefix(sign)));
        let name = named.and_then(|rest| rest.split([',', ' ']).next());
        name.unwrap_or_else(|| panic!("a block names no file: {}", self.text))
    }
}

/// The blocks below a heading, without those below the next one.
fn blocks(heading: &str) -> Vec<Block> {
    let document = fs::read_to_string(DOCUMENT).expect("docs/INTEGRATIONS.md");
    let mut here = false;
    let mut block: Option<Block> = None;
    let mut blocks = Vec::new();
    for line in document.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (Some(_), Some("")) => blocks.extend(block.take().filter(|_| here)),
            (Some(block), _) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, Some(language)) => {
                block = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                });
            }
            (None, None) if line.starts_with("##") => {
                here = line.trim_start_matches('#') == format!(" {heading}");
            }
            (None, None) => {}
        }
    }
    assert!(!blocks.is_empty(), "no blocks below {heading:?}");
    blocks
}

/// Writes the files below these headings into a directory, with this port in them; returns the
/// command that starts the application.
pub(super) fn write(headings: &[&str], directory: &Path, port: u16) -> String {
    let mut start = None;
    for block in headings.iter().flat_map(|heading| blocks(heading)) {
        let text = block.text.replace(PORT, &port.to_string());
        if block.language == "sh" {
            assert!(start.replace(text).is_none(), "{headings:?}: two commands");
        } else {
            put(&directory.join(block.file()), &text);
        }
    }
    start.unwrap_or_default().trim_end().to_owned()
}

/// A file of the document, or its part of one.
fn put(path: &Path, text: &str) {
    let around = fs::read_to_string(path).unwrap_or_default();
    let line = around.lines().find(|line| line.contains(MARK));
    let text = line.map_or_else(|| text.to_owned(), |line| around.replace(line, text));
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// Copies what a framework makes for a new project.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let path: PathBuf = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a file");
        }
    }
}
