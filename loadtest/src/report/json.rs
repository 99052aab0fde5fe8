//! The report for programs: the outcome itself, as JSON.

use serde::Serialize;

use super::ReportError;

/// The outcome, or comparison, as indented JSON with a line end.
///
/// JSON has no form for values that are not numbers: they become `null`.
///
/// # Errors
/// [`ReportError::Json`].
pub fn text(report: &impl Serialize) -> Result<String, ReportError> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::outcome::{Comparison, Outcome};
    use crate::{report, sample};

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.json");

        report::write(&path, &text(&sample::outcome()).expect("JSON")).expect("written");
        let outcome: Outcome =
            serde_json::from_str(&fs::read_to_string(&path).expect("a written file"))
                .expect("the schema");
        assert_eq!(outcome, sample::outcome());

        report::write(&path, &text(&sample::comparison()).expect("JSON")).expect("written");
        let back: Comparison =
            serde_json::from_str(&fs::read_to_string(&path).expect("a written file"))
                .expect("the schema");
        assert_eq!(back, sample::comparison());
    }

    #[test]
    fn names_are_those_of_the_schema() {
        let text = text(&sample::outcome()).expect("JSON");
        assert!(text.starts_with("{\n  \"schema\": 1,\n"), "{text}");
        assert!(text.contains("\"unit\": \"per_second\""));
        assert!(text.contains("\"group\": \"truth\""));
        assert!(text.ends_with("}\n"));
    }
}
