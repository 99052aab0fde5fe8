//! Passwords and users, read from texts and files.
//!
//! Must never put a password into an error: what is refused here is told by its place, not by its value.

use std::path::Path;

use super::file::read_text;
use super::raw::{Given, RawUser};
use super::{IngestUser, Reason, UserFault};
use crate::core::glob::Glob;
use crate::secret::Secret;

/// Longest password, in bytes: far above what people and generators make, far below what a wrong file would hold.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1_024;
/// Longest user name, in bytes.
pub(super) const USER_NAME_BYTES_MAX: usize = 256;
/// Name of the user that `AUTH` without a name means; it belongs to `ingest_password`.
pub(super) const DEFAULT_USER: &str = "default";

pub(super) fn password(text: &str) -> Result<Secret, Reason> {
    match text.len() {
        0 => Err(Reason::Empty),
        length if length > PASSWORD_BYTES_MAX => Err(Reason::TooLarge),
        _ => Ok(text.into()),
    }
}

/// The way of containers: the secret is mounted as a file, which editors and `echo` end with a line end.
pub(super) fn password_file(path: &str) -> Result<Secret, Reason> {
    // Room for a line end behind the longest secret, so that one byte too many is told from a full file.
    let text = read_text(Path::new(path), PASSWORD_BYTES_MAX + 2)
        .map_err(|error| Reason::File(error.to_string()))?;
    password(text.trim_end_matches(['\r', '\n']))
}

pub(super) fn users(given: &Given) -> Result<Vec<IngestUser>, Reason> {
    let users = match given {
        Given::Users(users) => users.clone(),
        Given::One(text) => vec![user(text).map_err(|fault| Reason::User { number: 1, fault })?],
        Given::Many(texts) => numbered(texts.iter().map(|text| user(text)))?,
    };
    let users = numbered(users.iter().map(check_user))?;
    for (index, user) in users.iter().enumerate() {
        if users[..index].iter().any(|other| other.name == user.name) {
            return Err(Reason::Twice(user.name.clone()));
        }
    }
    Ok(users)
}

/// Collects, and tells which of the list was wrong.
pub(super) fn numbered<T>(
    users: impl Iterator<Item = Result<T, UserFault>>,
) -> Result<Vec<T>, Reason> {
    users
        .zip(1..)
        .map(|(user, number)| user.map_err(|fault| Reason::User { number, fault }))
        .collect()
}

/// `name:password:glob,glob`: globs may hold colons, names and passwords cannot (the file has no such bound).
fn user(text: &str) -> Result<RawUser, UserFault> {
    let mut parts = text.splitn(3, ':');
    let (Some(name), Some(password), Some(globs)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err(UserFault::Form);
    };
    Ok(RawUser {
        name: name.to_owned(),
        password: password.into(),
        publish: globs
            .split(',')
            .map(str::trim)
            .filter(|glob| !glob.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

fn check_user(user: &RawUser) -> Result<IngestUser, UserFault> {
    check_name(&user.name)?;
    if !(1..=PASSWORD_BYTES_MAX).contains(&user.password.expose().len()) {
        return Err(UserFault::Password);
    }
    if user.publish.iter().any(String::is_empty) {
        return Err(UserFault::Glob);
    }
    let globs = user.publish.iter().map(|glob| glob.parse::<Glob>());
    Ok(IngestUser {
        name: user.name.clone(),
        password: user.password.clone(),
        publish: globs
            .collect::<Result<_, _>>()
            .map_err(|_too_long| UserFault::LongGlob)?,
    })
}

fn check_name(name: &str) -> Result<(), UserFault> {
    let is_right = (1..=USER_NAME_BYTES_MAX).contains(&name.len())
        && !name.contains(|c: char| c.is_whitespace() || c.is_control());
    match name {
        _ if !is_right => Err(UserFault::Name),
        DEFAULT_USER => Err(UserFault::Default),
        _ => Ok(()),
    }
}
