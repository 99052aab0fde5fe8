//! A broken rule is found, whatever the form of the import, and is reported with its file and line.

use std::path::PathBuf;

use crate::rules::{BANS, Ban, LAYERS};
use crate::source::{Files, Tree};
use crate::{circles, rules};

fn tree(files: &[(&str, &str)]) -> Tree {
    let files = files.iter();
    let files = files.map(|(name, text)| (PathBuf::from("src").join(name), (*text).to_owned()));
    Tree::new(&files.collect::<Files>())
}

/// The messages on a crate of `core` and `hub`, in which `core` has this text.
fn in_core(text: &str) -> Vec<String> {
    rules::broken(&tree(&[
        ("lib.rs", "pub mod core;\npub mod hub;\npub mod web;"),
        ("core.rs", text),
        ("hub.rs", "pub struct Hub; pub mod inner { pub fn f() {} }"),
        ("web.rs", "pub struct Host;"),
    ]))
}

#[test]
fn an_import_of_a_layer_above_or_beside_is_told_with_file_line_and_rule() {
    for (own, modules) in LAYERS.iter().enumerate().skip(1) {
        for module in *modules {
            for above in LAYERS[..=own].concat() {
                // The program cannot be imported.
                if above == *module || above == "main" {
                    continue;
                }
                let files = tree(&[
                    ("lib.rs", &format!("pub mod {module};\npub mod {above};")),
                    (
                        &format!("{module}.rs"),
                        &format!("//! Text.\n\nuse crate::{above}::X;"),
                    ),
                    (&format!("{above}.rs"), "pub struct X;"),
                ]);
                let messages = rules::broken(&files);
                let start = format!("src/{module}.rs:3: `{module}` must not import `{above}`: ");
                assert_eq!(messages.len(), 1, "{messages:?}");
                assert!(messages[0].starts_with(&start), "{messages:?}");
            }
            for below in LAYERS[own + 1..].concat() {
                let path = format!("crate::{below}");
                let is_banned = |ban: &Ban| ban.module == *module && ban.paths.contains(&&*path);
                if BANS.iter().any(is_banned) {
                    continue;
                }
                let files = tree(&[
                    ("lib.rs", &format!("pub mod {module};\npub mod {below};")),
                    (&format!("{module}.rs"), &format!("use crate::{below}::Y;")),
                    (&format!("{below}.rs"), "pub struct Y;"),
                ]);
                assert_eq!(rules::broken(&files), [""; 0]);
            }
        }
    }
}

#[test]
fn every_form_of_an_import_is_found() {
    for (form, line) in [
        ("use crate::hub::Hub;", 1),
        ("use crate::hub;", 1),
        ("use crate::hub::*;", 1),
        ("use super::hub::Hub as Other;", 1),
        ("use crate::{\n  web::Host,\n  hub::{self, inner},\n};", 3),
        ("pub use crate::hub::Hub;", 1),
        ("\nfn f(hub: &crate::hub::Hub) {}", 2),
        ("fn f() {\n    crate::hub::inner::f();\n}", 2),
        ("fn f() {\n    use crate::hub::Hub;\n}", 2),
        (
            "fn f() {\n    println!(\"{:?}\",\n        crate::hub::inner::f());\n}",
            3,
        ),
        ("use crate as all;\nfn f(_: all::hub::Hub) {}", 2),
        ("struct S { f: Box<dyn Fn(\n  &crate::hub::Hub)> }", 2),
        ("impl crate::hub::Hub {}", 1),
        ("mod inner {\n    use super::super::hub::Hub;\n}", 2),
        ("#[cfg(feature = \"test\")]\nuse crate::hub::Hub;", 2),
        ("#[cfg(not(test))]\nuse crate::hub::Hub;", 2),
    ] {
        let messages = in_core(form);
        let start = format!("src/core.rs:{line}: `core` must not import `hub`: imports point down");
        assert!(!messages.is_empty(), "{form}");
        for message in &messages {
            assert!(message.starts_with(&start), "{form}: {messages:?}");
        }
    }
    for other in [
        "//! [`crate::hub::Hub`]",
        "/// [`Hub`](crate::hub::Hub)\npub struct A;",
        "#[doc = \"crate::hub::Hub\"]\npub struct A;",
        "// use crate::hub::Hub;",
        "#[cfg(test)]\nmod tests { use crate::hub::Hub; }",
        "#[cfg(test)]\nuse crate::hub::Hub;",
        "struct A;\nimpl A {\n    #[cfg(test)]\n    fn f() { crate::hub::inner::f() }\n}",
        "#[test]\nfn f() { crate::hub::inner::f() }",
        "mod hub { pub struct Hub; }\nuse hub::Hub;",
        "pub(in crate::core) fn f(hub: u8) -> u8 { hub }",
        "use crate::web::Host;",
    ] {
        assert_eq!(in_core(other), [""; 0], "{other}");
    }
}

#[test]
fn what_a_layer_must_not_know_is_found_by_every_name() {
    for ban in &BANS {
        for path in ban.paths.iter().filter(|path| !path.starts_with("crate")) {
            let (folder, name) = path.rsplit_once("::").unwrap_or(("", path));
            let forms = [
                format!("\nuse {path};"),
                format!("\nuse {path} as other;"),
                format!("\nfn f() {{ {path}::x() }}"),
                format!("\nfn f() {{ vec![{path}::X] }}"),
                format!("\npub use ::{path}::X;"),
                match folder {
                    "" => format!("\nuse {{ {name} }};"),
                    folder => format!("\nuse {folder}::{{self as f, {name} as other}};"),
                },
            ];
            for form in forms {
                let messages = rules::broken(&tree(&[
                    ("lib.rs", &format!("mod {};", ban.module)),
                    (&format!("{}.rs", ban.module), &form),
                ]));
                let start = format!("src/{0}.rs:2: `{0}` must not know `{path}`: ", ban.module);
                assert!(!messages.is_empty(), "{form}");
                assert!(messages[0].starts_with(&start), "{form}: {messages:?}");
            }
        }
    }
    for (text, line) in [
        ("use std::time::Instant;\nfn f() { Instant::now(); }", 2),
        ("use std::time;\nfn f() { time::SystemTime::now(); }", 2),
        (
            "use std::time::Instant as Clock;\nfn f() { let now = Clock::now; }",
            2,
        ),
    ] {
        let messages = in_core(text);
        let start = format!("src/core.rs:{line}: `core` must not know `std::time::");
        assert!(
            messages.iter().any(|message| message.starts_with(&start)),
            "{text}"
        );
    }
    assert_eq!(in_core("use std::time::{Duration, Instant};"), [""; 0]);
    assert_eq!(in_core("use std::net::IpAddr;"), [""; 0]);
}

#[test]
fn parts_of_the_crate_that_a_layer_must_not_know_are_found_behind_a_re_export() {
    let messages = rules::broken(&tree(&[
        ("lib.rs", "mod core;\nmod server;"),
        (
            "core/mod.rs",
            "pub mod topic;\npub mod places;\npub use self::topic::Topic;",
        ),
        ("core/topic.rs", "pub struct Topic;"),
        ("core/places.rs", "pub struct Places;"),
        (
            "server.rs",
            "use crate::core::places::Places;\nuse crate::core::Topic;",
        ),
    ]));
    assert_eq!(messages.len(), 1, "{messages:?}");
    let start = "src/server.rs:2: `server` must not know `crate::core::topic`: it knows no topics";
    assert!(messages[0].starts_with(start), "{messages:?}");
}

#[test]
fn a_module_is_read_wherever_its_file_is_and_once_where_it_is_declared_twice() {
    let messages = rules::broken(&tree(&[
        (
            "lib.rs",
            "#[cfg(feature = \"x\")]\npub mod core;\n#[cfg(not(feature = \"x\"))]\nmod core;\nmod hub;",
        ),
        ("core/mod.rs", "#[path = \"other/name.rs\"]\nmod inner;"),
        ("core/other/name.rs", "use crate::hub::Hub;"),
        ("hub.rs", "pub struct Hub;"),
    ]));
    assert_eq!(messages.len(), 1, "{messages:?}");
    let start = "src/core/other/name.rs:1: `core` must not import `hub`";
    assert!(messages[0].starts_with(start), "{messages:?}");
}

#[test]
fn a_module_without_a_layer_is_found() {
    let messages = rules::unplaced(&tree(&[("lib.rs", "mod stray {}")]));
    assert!(
        messages[0].starts_with("`stray` is in no layer"),
        "{messages:?}"
    );
}

#[test]
fn a_circle_is_told_with_the_lines_that_make_it() {
    let messages = circles::find(&tree(&[
        ("lib.rs", "mod hub;"),
        ("hub/mod.rs", "mod a;\nmod b;\nmod c;\npub use self::b::B;"),
        ("hub/a.rs", "\nuse super::B;\npub struct A;"),
        ("hub/b.rs", "pub struct B(super::c::C);"),
        (
            "hub/c.rs",
            "use crate::hub::a::A;\npub struct C;\nstruct D(B);\nuse super::b::B;",
        ),
    ]));
    assert_eq!(
        messages,
        ["a circle of 3 files; these lines make it:\
          \n    src/hub/a.rs:2 needs src/hub/b.rs (super::B)\
          \n    src/hub/b.rs:1 needs src/hub/c.rs (super::c::C)\
          \n    src/hub/c.rs:1 needs src/hub/a.rs (crate::hub::a::A)\
          \n    src/hub/c.rs:3 needs src/hub/b.rs (B)"]
    );
}

#[test]
fn what_only_gives_a_name_on_is_in_no_circle() {
    let files = [
        ("lib.rs", "mod server;\npub use server::A;"),
        (
            "server/mod.rs",
            "mod a;\nmod b;\npub use self::a::A;\npub(crate) use self::b::B;",
        ),
        ("server/a.rs", "pub struct A(super::B);"),
        (
            "server/b.rs",
            "pub struct B;\n#[cfg(test)]\nmod tests { use super::super::a::A; }",
        ),
    ];
    assert_eq!(circles::find(&tree(&files)), [""; 0]);
}

#[test]
fn an_outer_file_and_an_inner_one_are_one_whole_except_where_the_rule_is_strict() {
    for (module, count) in [("hub", 0), ("server", 1)] {
        let found = circles::find(&tree(&[
            ("lib.rs", &format!("mod {module};")),
            (
                &format!("{module}/mod.rs"),
                "mod a;\nuse a::A;\npub struct Outer(A);",
            ),
            (
                &format!("{module}/a.rs"),
                "use super::Outer;\npub struct A;",
            ),
        ]));
        assert_eq!(found.len(), count, "{module}: {found:?}");
    }
}
