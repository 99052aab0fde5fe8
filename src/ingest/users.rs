//! Users of the ingest port and their rights: the default user, and named users that may only
//! publish.
//!
//! The time to compare a password depends only on the client's input: neither on how much of it is
//! right, nor on the length of the right one, nor on whether the user exists.

use std::sync::Arc;

use aws_lc_rs::hmac;
use subtle::{Choice, ConstantTimeEq};

use super::config::NamedUser;
use crate::core::glob::Glob;
use crate::secret::Secret;

/// The user of a connection that names none, and of `AUTH <password>`.
pub(super) const DEFAULT_USER: &str = "default";

/// Proof that a user has a certain password, or none: a keyed hash of its name and password. It is
/// worth nothing without the key, which is drawn when the port starts, and with it no more than the
/// password's own strength. Neither is ever written to a disk.
pub type Proof = [u8; 32];

/// A user of a carried connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarriedUser {
    /// Its name.
    pub name: String,
    /// Proof that its password is still the same.
    pub proof: Proof,
}

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

impl Account {
    fn prove(&self, key: &Proof) -> Option<Proof> {
        let name = self.user.name.as_bytes();
        let password = self.password.as_ref().map(|secret| secret.expose());
        let mut hash = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        hash.update(&(name.len() as u64).to_le_bytes());
        hash.update(name);
        hash.update(&[password.is_some().into()]);
        hash.update(password.unwrap_or_default().as_bytes());
        hash.sign().as_ref().try_into().ok()
    }
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

    /// The user and the proof of its password, to be carried to another port.
    pub(super) fn carry(&self, user: &User, key: &Proof) -> Option<CarriedUser> {
        let mut accounts = self.accounts.iter();
        let account = accounts.find(|account| account.user.name == user.name)?;
        Some(CarriedUser {
            name: user.name.clone(),
            proof: account.prove(key)?,
        })
    }

    /// The user of a carried connection; `None` if it is gone, or has another password now.
    pub(super) fn recognize(&self, carried: &CarriedUser, key: &Proof) -> Option<Arc<User>> {
        let mut accounts = self.accounts.iter();
        let account = accounts.find(|account| account.user.name == carried.name)?;
        let is_same = account.prove(key)?.ct_eq(&carried.proof);
        bool::from(is_same).then(|| Arc::clone(&account.user))
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

    #[test]
    fn a_carried_user_is_recognized_while_it_has_the_same_password() {
        let key = [7; 32];
        let before = users(Some("secret"), &[("bob", "pw", &["news.*"])]);
        let carry = |users: &Users, name: &str, password: &str| {
            let user = users.authenticate(name.as_bytes(), password.as_bytes());
            users
                .carry(&user.expect("right"), &key)
                .expect("an account")
        };
        let bob = carry(&before, "bob", "pw");
        let default = carry(&before, "default", "secret");
        let after = users(Some("other"), &[("bob", "pw", &["a"]), ("eve", "pw", &[])]);
        let known = after.recognize(&bob, &key).expect("the same password");
        assert!(
            known.may_publish("a") && !known.may_publish("news.a"),
            "its rights of now"
        );
        assert!(
            after.recognize(&default, &key).is_none(),
            "another password"
        );
        assert!(after.recognize(&bob, &[8; 32]).is_none(), "another key");
        let eve = CarriedUser {
            name: "eve".to_owned(),
            ..bob.clone()
        };
        assert!(
            after.recognize(&eve, &key).is_none(),
            "another user's proof"
        );
        assert!(
            users(None, &[]).recognize(&bob, &key).is_none(),
            "it is gone"
        );
        let open = users(None, &[]);
        let anyone = carry(&open, "default", "");
        assert!(open.recognize(&anyone, &key).is_some());
        assert!(
            before.recognize(&anyone, &key).is_none(),
            "the port was shut"
        );
        assert!(
            open.recognize(&default, &key).is_none(),
            "the port was opened"
        );
        let empty = users(Some(""), &[]);
        assert!(
            empty.recognize(&anyone, &key).is_none(),
            "an empty password is one"
        );
    }

    proptest! {
        #[test]
        fn same_is_equality(a in prop::collection::vec(0_u8..3, 0..5), b in prop::collection::vec(0_u8..3, 0..5)) {
            prop_assert_eq!(bool::from(same(&a, &b)), a == b);
        }
    }
}
