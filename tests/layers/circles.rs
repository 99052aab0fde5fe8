//! Files that need each other.
//!
//! A file needs another if its code names an item defined there. A re-export is followed to the
//! definition: an import of `server::bind` needs `server/bind.rs`, and not `server/mod.rs`, which
//! only re-exports the name. So a `mod` declaration and a `pub use` make no arrow of their own. A
//! private `use` does, and so does a path in code. Code under `#[cfg(test)]` makes none.
//!
//! A module and its submodules are one whole: a submodule may need items of the file of a module
//! around it, as `hub/publish.rs` needs `Hub`, and the outer file may need the submodule. That is
//! not a circle, except in the modules of [`STRICT`], whose outer files define nothing that inner
//! ones need.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::resolve::{Target, place, top};
use crate::source::{Kind, Tree};

/// Modules at the top in which an outer file and an inner one must not need each other either.
const STRICT: [&str; 3] = ["server", "api", "admin"];

/// Circles that are still to be opened. None may be added.
const KNOWN: [&[&str]; 0] = [];

/// Arrows from file to file, each with the first line that makes it and the name on that line.
type Arrows<'t> = BTreeMap<&'t Path, BTreeMap<&'t Path, (usize, String)>>;

/// A message for each group of files of which every one needs every other.
pub(crate) fn find(tree: &Tree) -> Vec<String> {
    let arrows = arrows(tree);
    let mut messages = Vec::new();
    let mut done = BTreeSet::new();
    for file in arrows.keys() {
        if done.contains(file) {
            continue;
        }
        let forth = reach(&arrows, file);
        let circle: Vec<&Path> = forth
            .iter()
            .copied()
            .filter(|other| reach(&arrows, other).contains(file))
            .collect();
        if circle.is_empty() {
            continue;
        }
        done.extend(circle.iter().copied());
        let is_known = |known: &&[&str]| {
            let names = |file: &&Path| known.iter().any(|name| Path::new(name) == *file);
            circle.iter().all(names)
        };
        if !KNOWN.iter().any(is_known) {
            messages.push(message(&arrows, &circle));
        }
    }
    messages
}

fn message(arrows: &Arrows<'_>, circle: &[&Path]) -> String {
    let mut text = format!("a circle of {} files; these lines make it:", circle.len());
    for file in circle {
        for (other, (line, path)) in &arrows[file] {
            if circle.contains(other) {
                let from = place(file, *line);
                text += &format!("\n    {from} needs {} ({path})", other.display());
            }
        }
    }
    text
}

fn arrows(tree: &Tree) -> Arrows<'_> {
    let mut arrows = Arrows::new();
    for (number, module) in tree.modules.iter().enumerate() {
        let own = arrows.entry(module.file.as_path()).or_default();
        for used in &module.uses {
            if used.in_test || used.kind == Kind::ReExport {
                continue;
            }
            if let Some(Target::Inside(other)) = tree.resolve(number, &used.path)
                && other.file != module.file
                && (STRICT.contains(&top(module)) || !module.path.starts_with(&other.path))
            {
                own.entry(other.file.as_path())
                    .or_insert_with(|| (used.line, used.to_string()));
            }
        }
    }
    arrows
}

/// Files that can be reached from one.
fn reach<'t>(arrows: &Arrows<'t>, from: &Path) -> BTreeSet<&'t Path> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&Path> = vec![from];
    while let Some(file) = next.pop() {
        for other in arrows.get(file).into_iter().flat_map(BTreeMap::keys) {
            if found.insert(*other) {
                next.push(other);
            }
        }
    }
    found
}
