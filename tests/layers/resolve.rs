//! Resolves paths.

use std::path::Path;

use crate::source::{Module, Name, Tree};

/// Steps from one name to the next: more than any chain of re-exports has.
const STEPS_MAX: usize = 32;

/// The target of a path.
pub(crate) enum Target<'t> {
    /// An item in a module of the crate: the module that defines it, not one that re-exports it.
    Inside(&'t Module),
    /// Something of another crate, with the whole path.
    Outside(Vec<String>),
}

impl Tree {
    /// The target of `path` in a module; `None` if it is not a path into a module or crate: local
    /// names, generic parameters, the prelude.
    pub(crate) fn resolve(&self, module: usize, path: &[String]) -> Option<Target<'_>> {
        self.step(module, path, 0)
    }

    fn step(&self, module: usize, path: &[String], steps: usize) -> Option<Target<'_>> {
        if steps > STEPS_MAX {
            return None;
        }
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            // The program names the library so.
            "crate" | "fantail" => self.descend(0, rest, steps),
            "self" => self.descend(module, rest, steps),
            "super" => {
                let mut parent = self.parent(module)?;
                let mut rest = rest;
                while let Some((first, after)) = rest.split_first()
                    && first == "super"
                {
                    parent = self.parent(parent)?;
                    rest = after;
                }
                self.descend(parent, rest, steps)
            }
            _ if self.knows(module, first, steps) => self.descend(module, path, steps),
            _ if is_crate(first) => Some(Target::Outside(path.to_vec())),
            _ => None,
        }
    }

    /// Follows a path whose first name is one of `module`.
    fn descend(&self, module: usize, path: &[String], steps: usize) -> Option<Target<'_>> {
        let here = &self.modules[module];
        let Some((first, rest)) = path.split_first() else {
            return Some(Target::Inside(here));
        };
        match here.names.get(first) {
            Some(Name::Item) => Some(Target::Inside(here)),
            Some(Name::Module(inner)) => self.descend(*inner, rest, steps + 1),
            Some(Name::Import(import)) => {
                let whole = [import.as_slice(), rest].concat();
                // `use crate_name` and `use name as name` in the crate's root would go round.
                if import.first() == Some(first) {
                    return Some(Target::Outside(whole));
                }
                self.step(module, &whole, steps + 1)
            }
            None => {
                let other = self.under_glob(module, first, steps);
                let found = other.and_then(|other| self.descend(other, path, steps + 1));
                found.or(Some(Target::Inside(here)))
            }
        }
    }

    fn knows(&self, module: usize, name: &str, steps: usize) -> bool {
        let is_own = self.modules[module].names.contains_key(name);
        is_own || self.under_glob(module, name, steps).is_some()
    }

    /// The module all of whose names are those of `module`, too, and that has this name.
    fn under_glob(&self, module: usize, name: &str, steps: usize) -> Option<usize> {
        if steps > STEPS_MAX {
            return None;
        }
        let mut globs = self.modules[module].globs.iter();
        globs.find_map(|glob| match self.step(module, glob, steps + 1)? {
            Target::Inside(other) => {
                let other = self.number(&other.path)?;
                (other != module && self.knows(other, name, steps + 1)).then_some(other)
            }
            Target::Outside(_) => None,
        })
    }

    fn parent(&self, module: usize) -> Option<usize> {
        let (_, parent) = self.modules[module].path.split_last()?;
        self.number(parent)
    }
}

/// Whether a first name that no module defines is that of another crate. Crates are written in
/// lower case; so are local variables and modules of other places, so a rule has to name the crate
/// that it forbids.
fn is_crate(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The module at the top that a path is in: `core` for `core::history::store`.
pub(crate) fn top(module: &Module) -> &str {
    module.path.first().map_or("lib", String::as_str)
}

/// A place in the sources, as compilers write it.
pub(crate) fn place(file: &Path, line: usize) -> String {
    format!("{}:{line}", file.display())
}
