//! Reports of a run's outcome for people and programs: a table in the terminal, a page of HTML, a
//! file of JSON.
//!
//! Shows the outcome only: nothing is measured, judged or left out here. Texts from a server or a
//! command line are hostile until escaped for their place.

pub mod comparison;
mod heading;
pub mod html;
pub mod json;
mod matrix;
mod plain;
pub mod table;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use thiserror::Error;

/// Why no report was written.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be written.
    #[error("{}: cannot write the report: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The path cannot be that of a file.
    #[error("{}: cannot write the report: the path does not end in the name of a file", .0.display())]
    NoName(PathBuf),
    /// The outcome cannot be JSON.
    #[error("cannot make JSON of the report: {0}")]
    Json(#[from] serde_json::Error),
    /// The page cannot be made.
    #[error("cannot make a page of the report: {0}")]
    Page(#[from] askama::Error),
    /// A plot cannot be drawn.
    #[error("cannot draw the plot `{plot}`: {source}")]
    Plot {
        /// Its title.
        plot: String,
        /// The drawing library's error.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// Writes `text` to the file: whole, or not at all when the file was there before and something
/// fails.
///
/// # Errors
/// [`ReportError`] that names the file.
pub fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    let fault = |source| ReportError::Write {
        path: path.to_owned(),
        source,
    };
    let name = path
        .file_name()
        .ok_or_else(|| ReportError::NoName(path.to_owned()))?;
    // A pipe, a terminal or a link such as /dev/stdout must be written through: a rename would put
    // a file in its place.
    let is_plain_file = path.symlink_metadata().map_or(true, |meta| meta.is_file());
    if !is_plain_file {
        return fs::write(path, text).map_err(fault);
    }
    let mut passing_name = OsString::from(".");
    passing_name.push(name);
    passing_name.push(format!(".{}.part", process::id()));
    let passing = path.with_file_name(passing_name);
    fs::write(&passing, text)
        .and_then(|()| fs::rename(&passing, path))
        .map_err(|source| {
            // The first error is the one to report; the rest has a name that explains it.
            let _ = fs::remove_file(&passing);
            fault(source)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_replaces_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.html");
        write(&path, "first").expect("written");
        write(&path, "second").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a written file"), "second");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn a_link_is_written_through() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, link) = (folder.path().join("report"), folder.path().join("link"));
        fs::write(&path, "before").expect("written");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        write(&link, "after").expect("written");
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&path).expect("a written file"), "after");
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("no-such-folder/report.json");
        let error = write(&missing, "").expect_err("no such place").to_string();
        assert!(
            error.contains("no-such-folder/report.json: cannot write"),
            "{error}"
        );
        let error = write(Path::new("/"), "")
            .expect_err("no such place")
            .to_string();
        assert!(error.contains("/: cannot write"), "{error}");
        let error = write(folder.path(), "")
            .expect_err("no such place")
            .to_string();
        assert!(error.contains("cannot write the report"), "{error}");
    }
}
