//! Passwords and users, read from texts and files.
//!
//! Must never put a password into an error: an error names the place of a refused value, never the
//! value.

use std::path::Path;

use super::given::{Given, RawUser};
use super::reason::{Reason, UserFault};
use super::text_file::read_text;
use super::user::{DEFAULT_USER, IngestUser, USER_NAME_BYTES_MAX};
use crate::core::glob::Glob;
use crate::secret::{PASSWORD_BYTES_MAX, Secret};

pub(super) fn password(text: &str) -> Result<Secret, Reason> {
    match text.len() {
        0 => Err(Reason::Empty),
        length if length > PASSWORD_BYTES_MAX => Err(Reason::TooLarge),
        _ => Ok(text.into()),
    }
}

/// Reads a password from a file, as containers mount secrets. Editors and `echo` end such a file
/// with a line end.
pub(super) fn password_file(path: &str) -> Result<Secret, Reason> {
    // Room for a line end behind the longest secret, so that a secret of one byte too many is
    // detected.
    let text = read_text(Path::new(path), PASSWORD_BYTES_MAX + 2)
        .map_err(|error| Reason::File(error.to_string()))?;
    password(text.trim_end_matches(['\r', '\n']))
}

pub(super) fn users(given: &Given) -> Result<Vec<IngestUser>, Reason> {
    let raw = match given {
        Given::Users(users) => users.clone(),
        Given::One(text) => vec![user(text).map_err(|fault| Reason::User { number: 1, fault })?],
        Given::Many(texts) => numbered(texts.iter().map(|text| user(text)))?,
    };
    let users = numbered(raw.into_iter().map(with_globs))?;
    check_users(&users)?;
    Ok(users)
}

/// Checks users, each alone and all together.
pub(super) fn check_users(users: &[IngestUser]) -> Result<(), Reason> {
    numbered(users.iter().map(check_user))?;
    for (index, user) in users.iter().enumerate() {
        if users[..index].iter().any(|other| other.name == user.name) {
            return Err(Reason::Twice(user.name.clone()));
        }
    }
    Ok(())
}

/// Collects the results; an error names the number of the wrong item.
pub(super) fn numbered<T>(
    users: impl Iterator<Item = Result<T, UserFault>>,
) -> Result<Vec<T>, Reason> {
    users
        .zip(1..)
        .map(|(user, number)| user.map_err(|fault| Reason::User { number, fault }))
        .collect()
}

/// Reads `name:password:glob,glob`. Globs may hold colons, names and passwords cannot (the file has
/// no such restriction).
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

fn with_globs(user: RawUser) -> Result<IngestUser, UserFault> {
    let globs = user.publish.iter().map(|glob| match glob.parse::<Glob>() {
        _ if glob.is_empty() => Err(UserFault::Glob),
        Ok(glob) => Ok(glob),
        Err(_too_long) => Err(UserFault::LongGlob),
    });
    Ok(IngestUser {
        publish: globs.collect::<Result<_, _>>()?,
        name: user.name,
        password: user.password,
    })
}

fn check_user(user: &IngestUser) -> Result<(), UserFault> {
    check_name(&user.name)?;
    match user.password.expose().len() {
        1..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(UserFault::Password),
    }
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
