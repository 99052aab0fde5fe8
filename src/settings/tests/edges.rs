use std::fmt::Debug;
use std::time::Duration;

use super::super::bounds::Bounds;
use super::super::given::Given;
use super::super::kind::Kind;
use super::super::table::{self, Setting};
use super::*;

fn set(setting: &Setting, text: &str) -> Result<(), Reason> {
    let given = Given::One(text.to_owned());
    setting.kind.set(&mut Settings::default(), &given)
}

/// Both ends are allowed, one `step` beyond is not, and zero follows the bounds.
fn check<T: Copy + Debug + PartialEq>(
    setting: &Setting,
    bounds: &Bounds<T>,
    [zero, step]: [T; 2],
    below: impl Fn(T, T) -> T,
    above: impl Fn(T, T) -> T,
    text: impl Fn(T) -> String,
) {
    let set = |value: T| set(setting, &text(value));
    let key = setting.key;
    assert_eq!(set(bounds.min), Ok(()), "{key}: smallest");
    assert_eq!(set(bounds.max), Ok(()), "{key}: largest");
    let beyond = set(above(bounds.max, step));
    assert_eq!(beyond, Err(Reason::TooLarge), "{key}: above the largest");
    if bounds.min != zero {
        let under = below(bounds.min, step);
        let expected = match bounds.zero {
            Some(_) if under == zero => Ok(()),
            _ => Err(Reason::TooSmall),
        };
        assert_eq!(set(under), expected, "{key}: below the smallest");
        let expected = bounds.zero.map(|_| ()).ok_or(Reason::TooSmall);
        assert_eq!(set(zero), expected, "{key}: zero");
    }
}

#[test]
fn every_bound_holds_at_its_edges() {
    let minus = |a: u64, b: u64| a - b;
    let plus = |a: u64, b: u64| a + b;
    let steps = [Duration::ZERO, Duration::from_millis(1)];
    for setting in table::all() {
        match &setting.kind {
            Kind::Count(bounds, _) | Kind::Bytes(bounds, _) => {
                check(setting, bounds, [0, 1], minus, plus, |n| n.to_string());
            }
            Kind::Time(bounds, _) | Kind::OptionalTime(bounds, _) => check(
                setting,
                bounds,
                steps,
                |a, b| a - b,
                |a, b| a + b,
                |time| format!("{}ms", time.as_millis()),
            ),
            _ => {}
        }
    }
}

#[test]
fn numbers_beyond_every_integer_are_too_large() {
    let digits = "9".repeat(30);
    for setting in table::all() {
        if let Kind::Count(..) = setting.kind {
            assert_eq!(set(setting, &digits), Err(Reason::TooLarge));
            assert_eq!(set(setting, "-1"), Err(Reason::TooSmall));
            for text in ["", "-", "+1", "1.5", "0x10", "1 "] {
                assert_eq!(set(setting, text), Err(Reason::Number), "{text:?}");
            }
        }
    }
}

#[test]
fn passwords_and_names_are_bounded() {
    let set = |key: &str, text: &str| set(table::find(key).expect("a setting"), text);
    let user = |fault| Err(Reason::User { number: 1, fault });
    let long = |n: usize| "x".repeat(n);

    assert_eq!(set("ingest_password", ""), Err(Reason::Empty));
    assert_eq!(set("ingest_password", &long(1_024)), Ok(()));
    assert_eq!(set("ingest_password", &long(1_025)), Err(Reason::TooLarge));

    assert_eq!(set("ingest_users", &format!("{}:p:*", long(256))), Ok(()));
    for (name, fault) in [
        (long(257), UserFault::Name),
        (String::new(), UserFault::Name),
        ("a b".to_owned(), UserFault::Name),
        ("default".to_owned(), UserFault::Default),
    ] {
        assert_eq!(set("ingest_users", &format!("{name}:p:*")), user(fault));
    }
    assert_eq!(set("ingest_users", "a::*"), user(UserFault::Password));
    let password = long(1_025);
    let overlong = set("ingest_users", &format!("a:{password}:*"));
    assert_eq!(overlong, user(UserFault::Password));
    assert_eq!(set("ingest_users", "a:b"), user(UserFault::Form));
}

#[test]
fn the_key_of_a_log_is_one_whose_companions_have_its_slot() {
    let setting = table::find("log_key");
    let setting = setting.expect("a setting");
    for key in ["a", "a{b}c", "{b}", "a{b}{c}", "a{{b}", &"k".repeat(512)] {
        assert_eq!(set(setting, key), Ok(()), "{key}");
    }
    for key in ["a}", "a}b{c}", "a{}b", "a{b", "{"] {
        assert_eq!(set(setting, key), Err(Reason::HashTag), "{key}");
    }
    assert_eq!(set(setting, ""), Err(Reason::Empty));
    assert_eq!(set(setting, &"k".repeat(513)), Err(Reason::TooLarge));
}
