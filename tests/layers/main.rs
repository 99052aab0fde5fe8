//! The layers of `src/`, read from the source: imports point down, no layer uses a forbidden one,
//! and no files import each other in a circle.

/// Files that need each other.
mod circles;
/// The target of a path.
mod resolve;
/// The layers, and the modules that each must never use.
mod rules;
/// A broken rule is found, whatever the form of the import.
mod self_test;
/// Modules, their names, and the paths that they use.
mod source;

use std::path::Path;
use std::sync::LazyLock;

use source::Tree;

static CRATE: LazyLock<Tree> =
    LazyLock::new(|| Tree::new(&source::read(Path::new(env!("CARGO_MANIFEST_DIR")))));

fn assert_none(messages: &[String]) {
    assert!(messages.is_empty(), "\n{}\n", messages.join("\n"));
}

#[test]
fn imports_point_down_and_no_layer_knows_what_it_must_not() {
    assert_none(&rules::broken(&CRATE));
}

#[test]
fn every_module_at_the_top_has_a_layer() {
    assert_none(&rules::unplaced(&CRATE));
}

#[test]
fn no_files_need_each_other_in_a_circle() {
    assert_none(&circles::find(&CRATE));
}
