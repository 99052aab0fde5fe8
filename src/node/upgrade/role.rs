//! The part of a process in an upgrade. The process that hands over says it in one variable of the
//! environment.

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;

use crate::state::Port;

/// The variable. It is taken out of the environment before the settings are read.
pub(super) const VARIABLE: &str = "FANTAIL_HANDOVER";

/// What a process has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Serve, as a process that nothing was handed to.
    #[default]
    Serve,
    /// Check the settings, the keys and the addresses, and say so. The running process has listeners
    /// at these addresses: the public one, ingest, admin.
    Check(Vec<SocketAddr>),
    /// Do the same, and build a node from the state in this descriptor, without using it.
    Rehearse(u32),
    /// Take over the state in this descriptor, and serve.
    TakeOver(u32),
}

impl Role {
    /// Takes the role out of an environment. A value that is none of ours is left there, and is
    /// refused as an unknown setting.
    pub fn take(environment: &mut Vec<(OsString, OsString)>) -> Self {
        let Some(at) = environment.iter().position(|(name, _)| name == VARIABLE) else {
            return Self::Serve;
        };
        let Some(role) = Self::parse(&environment[at].1) else {
            return Self::Serve;
        };
        environment.remove(at);
        role
    }

    fn parse(value: &OsStr) -> Option<Self> {
        let (word, rest) = value.to_str()?.split_once(':')?;
        match word {
            "check" => {
                let addresses = rest.split(',').filter(|text| !text.is_empty());
                let addresses = addresses.map(str::parse).collect::<Result<_, _>>();
                addresses.ok().map(Self::Check)
            }
            "rehearse" => rest.parse().ok().map(Self::Rehearse),
            "take-over" => rest.parse().ok().map(Self::TakeOver),
            _ => None,
        }
    }

    /// The listeners of the running process, if it checks.
    pub fn addresses(&self) -> impl Iterator<Item = (Port, SocketAddr)> {
        let addresses: &[SocketAddr] = match self {
            Self::Check(addresses) => addresses,
            Self::Serve | Self::Rehearse(_) | Self::TakeOver(_) => &[],
        };
        let ports = [Port::Public, Port::Ingest, Port::Admin];
        ports.into_iter().zip(addresses.iter().copied())
    }

    /// The value of the variable.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Serve => String::new(),
            Self::Check(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
                format!("check:{}", addresses.join(","))
            }
            Self::Rehearse(descriptor) => format!("rehearse:{descriptor}"),
            Self::TakeOver(descriptor) => format!("take-over:{descriptor}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_said_in_one_variable_which_nothing_else_sees() {
        let address = |text: &str| text.parse().expect("an address");
        for role in [
            Role::Check(vec![address("127.0.0.1:0"), address("[::1]:80")]),
            Role::Check(Vec::new()),
            Role::Rehearse(7),
            Role::TakeOver(12),
        ] {
            let other = (OsString::from("A"), OsString::from("b"));
            let own = (OsString::from(VARIABLE), OsString::from(role.value()));
            let mut environment = vec![own, other.clone()];
            assert_eq!(Role::take(&mut environment), role);
            assert_eq!(environment, [other]);
        }
    }

    #[test]
    fn a_value_that_is_no_role_stays_and_is_refused_as_a_setting() {
        for value in ["", "rehearse", "rehearse:x", "check:here", "else:1"] {
            let own = (OsString::from(VARIABLE), OsString::from(value));
            let mut environment = vec![own.clone()];
            assert_eq!(Role::take(&mut environment), Role::Serve);
            assert_eq!(environment, [own]);
        }
    }
}
