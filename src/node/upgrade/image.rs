//! The program file of the process, its arguments and its environment: what is started again.

use std::env;
use std::ffi::{CString, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::execve;

use super::role::{Role, VARIABLE};

/// What this process was started with.
#[derive(Clone, Debug)]
pub struct Image {
    /// The path by which it was started: absolute, and with its links, so that a link that was
    /// changed leads to the next version.
    path: PathBuf,
    /// The first is the program's own name.
    arguments: Vec<OsString>,
    /// Without the variable of the [`Role`].
    environment: Vec<(OsString, OsString)>,
}

/// Identifies a file and its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl From<Metadata> for Identity {
    fn from(metadata: Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

impl Image {
    /// The image of this process. Must be called at the start: the file may be replaced later.
    #[must_use]
    pub fn current(environment: &[(OsString, OsString)]) -> Self {
        let arguments: Vec<OsString> = env::args_os().collect();
        let by_name = arguments.first().and_then(|name| found(Path::new(name)));
        let running = fs::metadata("/proc/self/exe").map(Identity::from).ok();
        let is_running = |path: &PathBuf| running.is_some() && identity(path).ok() == running;
        let path = by_name.filter(is_running);
        // A process may be given any name. Then the file is known without its links.
        let path = path.or_else(|| env::current_exe().ok());
        Self {
            path: path.unwrap_or_default(),
            arguments,
            environment: environment.to_vec(),
        }
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Identifies the file that is at its path now.
    pub(super) fn identity(&self) -> io::Result<Identity> {
        identity(&self.path)
    }

    /// A child process in this role, whose output can be read.
    pub(super) fn child(&self, role: &Role) -> Command {
        use std::os::unix::process::CommandExt;

        let mut command = Command::new(&self.path);
        if let Some((name, rest)) = self.arguments.split_first() {
            command.arg0(name).args(rest);
        }
        command
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env(VARIABLE, role.value())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Replaces the program of this process. Returns only if that fails. Signals that are blocked
    /// stay blocked, and those that wait go on waiting.
    pub(super) fn execute(&self, role: &Role) -> io::Error {
        let text = |text: Vec<u8>| CString::new(text).map_err(io::Error::other);
        let variable = |name: &OsString, value: &OsString| {
            let mut variable = name.clone();
            variable.push("=");
            variable.push(value);
            text(variable.into_vec())
        };
        let prepared = || {
            let path = text(self.path.clone().into_os_string().into_vec())?;
            let arguments = self.arguments.iter().cloned();
            let arguments = arguments.map(|argument| text(argument.into_vec()));
            let environment = self.environment.iter();
            let environment = environment.map(|(name, value)| variable(name, value));
            let role = variable(&VARIABLE.into(), &role.value().into());
            let environment = environment.chain([role]);
            Ok::<_, io::Error>((
                path,
                arguments.collect::<io::Result<Vec<_>>>()?,
                environment.collect::<io::Result<Vec<_>>>()?,
            ))
        };
        match prepared() {
            Ok((path, arguments, environment)) => {
                let Err(error) = execve(&path, &arguments, &environment);
                error.into()
            }
            Err(error) => error,
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    Ok(Identity::from(fs::metadata(path)?))
}

/// The absolute path of a program's name, as a shell finds it; links stay.
fn found(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 || name.is_absolute() {
        return std::path::absolute(name).ok();
    }
    let folders = env::var_os("PATH")?;
    let mut paths = env::split_paths(&folders).map(|folder| folder.join(name));
    let path = paths.find(|path| path.is_file())?;
    std::path::absolute(path).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_program_is_found_by_its_path_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (file, link) = (folder.path().join("v1"), folder.path().join("current"));
        fs::write(&file, "one").expect("a file");
        symlink(&file, &link).expect("a link");
        assert_eq!(found(&link), Some(link.clone()));
        assert!(found(Path::new("sh")).is_some_and(|path| path.is_absolute()));
        assert_eq!(found(Path::new("no-such-program-anywhere")), None);
        let before = identity(&link).expect("a file");
        let next = folder.path().join("v2");
        fs::write(&next, "two").expect("a file");
        fs::remove_file(&link).expect("a link");
        symlink(&next, &link).expect("a link");
        assert_ne!(identity(&link).expect("a file"), before);
    }
}
