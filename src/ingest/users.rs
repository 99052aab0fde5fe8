//! Users of the ingest port and their rights: the default user, and named users that may only
//! publish.
//!
//! The time to compare a password depends only on the client's input: neither on how much of it is
//! right, nor on the length of the right one, nor on whether the user exists.

use std::sync::Arc;

use subtle::{Choice, ConstantTimeEq};

use super::config::NamedUser;
use crate::core::glob::Glob;
use crate::secret::Secret;

/// The user of a connection that names none, and of `AUTH <password>`.
pub(super) const DEFAULT_USER: &str = "default";

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// The name or the password is wrong.
    WrongPassword,
    /// `AUTH <password>`, but the default user has none: the client expects another server.
    NoPasswordSet,
}

/// One user.
#[derive(Debug)]
pub(super) struct User {
    name: String,
    rights: Rights,
}

#[derive(Debug)]
enum Rights {
    /// Every command and every topic.
    Everything,
    /// Publishing to matching topics, and the commands that a connection needs.
    Publish(Vec<Glob>),
}

impl User {
    /// Its name for `AUTH`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it may read histories and other connections.
    pub(super) fn may_inspect(&self) -> bool {
        matches!(self.rights, Rights::Everything)
    }

    /// Whether it may publish to `topic`.
    pub(super) fn may_publish(&self, topic: &str) -> bool {
        match &self.rights {
            Rights::Everything => true,
            Rights::Publish(globs) => globs.iter().any(|glob| glob.matches(topic.as_bytes())),
        }
    }
}

/// A user and its password.
#[derive(Debug)]
struct Account {
    user: Arc<User>,
    /// `None`: any password is accepted (the default user of an open port).
    password: Option<Secret>,
}

/// All users of the port.
#[derive(Debug)]
pub(super) struct Users {
    accounts: Vec<Account>,
}

impl Users {
    /// The default user, with `password`, and the named ones.
    ///
    /// Without a password the default user needs none, unless named users exist. Their rights would
    /// mean nothing on an open port, so then only named users are accepted.
    pub(super) fn new(password: Option<Secret>, named: Vec<NamedUser>) -> Self {
        let mut accounts = Vec::with_capacity(named.len() + 1);
        if password.is_some() || named.is_empty() {
            accounts.push(Account {
                user: Arc::new(User {
                    name: DEFAULT_USER.to_owned(),
                    rights: Rights::Everything,
                }),
                password,
            });
        }
        accounts.extend(named.into_iter().map(|user| Account {
            user: Arc::new(User {
                name: user.name,
                rights: Rights::Publish(user.publish),
            }),
            password: Some(user.password),
        }));
        Self { accounts }
    }

    /// The user of a new connection; `None` if it has to authenticate first.
    pub(super) fn anonymous(&self) -> Option<Arc<User>> {
        self.accounts
            .iter()
            .find(|account| account.password.is_none())
            .map(|account| Arc::clone(&account.user))
    }

    /// `AUTH <password>`: the default user.
    pub(super) fn authenticate_default(&self, password: &[u8]) -> Result<Arc<User>, Denied> {
        if self.anonymous().is_some() {
            return Err(Denied::NoPasswordSet);
        }
        self.authenticate(DEFAULT_USER.as_bytes(), password)
    }

    /// `AUTH <name> <password>`.
    pub(super) fn authenticate(&self, name: &[u8], password: &[u8]) -> Result<Arc<User>, Denied> {
        let account = self
            .accounts
            .iter()
            .find(|account| account.user.name.as_bytes() == name);
        let right = match account.map(|account| account.password.as_ref()) {
            Some(None) => Choice::from(1),
            Some(Some(secret)) => same(secret.expose().as_bytes(), password),
            // An unknown name costs as much as a wrong password.
            None => same(b"nobody", password) & Choice::from(0),
        };
        match account {
            Some(account) if bool::from(right) => Ok(Arc::clone(&account.user)),
            _ => Err(Denied::WrongPassword),
        }
    }
}

/// Compares in a time that depends on the length of `given` only: the secret is read in circles as
/// often as needed. Comparing slices of different lengths would return at once and reveal the
/// length.
fn same(secret: &[u8], given: &[u8]) -> Choice {
    let mut equal = secret.len().ct_eq(&given.len());
    for (secret, given) in secret.iter().cycle().zip(given) {
        equal &= secret.ct_eq(given);
    }
    equal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn users(password: Option<&str>, named: &[(&str, &str, &[&str])]) -> Users {
        let named = named.iter().map(|(name, password, publish)| NamedUser {
            name: (*name).to_owned(),
            password: (*password).into(),
            publish: publish
                .iter()
                .map(|glob| glob.parse().expect("a glob"))
                .collect(),
        });
        Users::new(password.map(Secret::from), named.collect())
    }

    #[test]
    fn an_open_port_lets_everyone_in_as_default() {
        let users = users(None, &[]);
        let anyone = users.anonymous().expect("open");
        assert_eq!(anyone.name(), "default");
        assert!(anyone.may_publish("x") && anyone.may_inspect());
        assert_eq!(
            users.authenticate_default(b"x").err(),
            Some(Denied::NoPasswordSet)
        );
        assert!(users.authenticate(b"default", b"x").is_ok());
        assert_eq!(
            users.authenticate(b"bob", b"x").err(),
            Some(Denied::WrongPassword)
        );
    }

    #[test]
    fn a_password_shuts_the_port() {
        let users = users(Some("secret"), &[]);
        assert!(users.anonymous().is_none());
        assert!(users.authenticate_default(b"secret").is_ok());
        assert!(users.authenticate(b"default", b"secret").is_ok());
        for wrong in [
            &b""[..],
            b"s",
            b"secre",
            b"secrets",
            b"secretsecret",
            b"Secret",
        ] {
            assert_eq!(
                users.authenticate_default(wrong).err(),
                Some(Denied::WrongPassword)
            );
        }
    }

    #[test]
    fn named_users_publish_only_and_shut_the_port() {
        let users = users(None, &[("bob", "pw", &["news.*", "a?"]), ("eve", "x", &[])]);
        assert!(users.anonymous().is_none());
        assert_eq!(
            users.authenticate_default(b"").err(),
            Some(Denied::WrongPassword)
        );
        let bob = users.authenticate(b"bob", b"pw").expect("right");
        assert!(bob.may_publish("news.art") && bob.may_publish("ab"));
        assert!(!bob.may_publish("abc") && !bob.may_inspect());
        assert!(
            !users
                .authenticate(b"eve", b"x")
                .expect("right")
                .may_publish("a")
        );
        assert!(users.authenticate(b"bob", b"x").is_err());
    }

    proptest! {
        #[test]
        fn same_is_equality(a in prop::collection::vec(0_u8..3, 0..5), b in prop::collection::vec(0_u8..3, 0..5)) {
            prop_assert_eq!(bool::from(same(&a, &b)), a == b);
        }
    }
}
