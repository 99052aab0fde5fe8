//! The table of settings as Markdown: what `fantail settings` prints and `docs/OPERATIONS.md`
//! holds.

use std::fmt::Write;

use super::checked::Settings;
use super::table::{GROUPS, Setting};

/// Every setting, group by group, with its key, flag, environment variable, default, what is
/// allowed and what it means.
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
        // A state, not a value that could be written.
        state if state.starts_with('(') => state.trim_matches(['(', ')']).to_owned(),
        value => format!("`{value}`"),
    };
    format!(
        "| `{}` | `--{}` | `{}` | {} | {} | {} |",
        setting.key,
        setting.flag(),
        setting.variable(),
        default,
        // The only characters of ours that a table cell would take for its own.
        setting
            .kind
            .allowed()
            .replace('*', "\\*")
            .replace('|', "\\|"),
        setting.help.replace('|', "\\|"),
    )
}
