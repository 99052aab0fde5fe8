//! The table of settings as Markdown: printed by `fantail settings`, and part of
//! `docs/OPERATIONS.md`.

use std::fmt::Write;

use super::checked::Settings;
use super::table::{GROUPS, Setting};

/// Every setting, group by group, with its key, flag, environment variable, default, allowed values
/// and meaning.
pub fn markdown() -> String {
    let mut defaults = Settings::default();
    let mut out = String::new();
    for group in GROUPS {
        // Writing to a `String` cannot fail.
        let _ = write!(
            out,
            "### {}\n\n\
             | Key | Flag | Environment | Default | Allowed | Meaning |\n\
             |---|---|---|---|---|---|\n",
            group.title
        );
        for setting in group.settings {
            let _ = writeln!(out, "{}", row(setting, &mut defaults));
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len() + 1);
    out
}

fn row(setting: &Setting, defaults: &mut Settings) -> String {
    let default = setting.kind.show(defaults);
    let default = match default.as_str() {
        // A state, not a value.
        state if state.starts_with('(') => state.trim_matches(['(', ')']).to_owned(),
        value => format!("`{value}`"),
    };
    format!(
        "| `{}` | `--{}` | `{}` | {} | {} | {} |",
        setting.key,
        setting.flag(),
        setting.variable(),
        default,
        // The only characters in our texts that have a meaning in a table cell.
        setting
            .kind
            .allowed()
            .replace('*', "\\*")
            .replace('|', "\\|"),
        setting.help.replace('|', "\\|"),
    )
}
