//! Names and errors of the table's commands.

use super::*;
use std::borrow::Cow;

fn find_words(words: &[&'static str]) -> Result<&'static str, String> {
    let args: Vec<_> = words
        .iter()
        .map(|word| Cow::Borrowed(word.as_bytes()))
        .collect();
    COMMANDS
        .find(&args)
        .map(|(_, spec)| spec.name)
        .map_err(|error| error.to_string())
}

#[test]
fn names_are_found_in_any_case() {
    assert_eq!(find_words(&["publish"]), Ok("publish"));
    assert_eq!(find_words(&["PuBlIsH", "a"]), Ok("publish"));
    assert_eq!(find_words(&["CLIENT", "setName"]), Ok("client|setname"));
    assert_eq!(find_words(&["CLIENT"]), Ok("client"));
    assert_eq!(find_words(&["COMMAND"]), Ok("command"));
    assert_eq!(find_words(&["config", "help"]), Ok("config|help"));
}

#[test]
fn what_is_unknown_is_said_as_redis_says_it() {
    let unknown = |words: &[&'static str]| find_words(words).expect_err("unknown");
    assert_eq!(
        unknown(&["foo", "a", "b"]),
        "ERR unknown command 'foo', with args beginning with: 'a' 'b' "
    );
    assert_eq!(
        unknown(&["HELP"]),
        "ERR unknown command 'HELP', with args beginning with: "
    );
    assert_eq!(
        unknown(&["client|id"]),
        "ERR unknown command 'client|id', with args beginning with: "
    );
    assert_eq!(
        unknown(&["client", "KILL"]),
        "ERR unknown subcommand 'KILL'. Try CLIENT HELP."
    );
    assert!(unknown(&["Subscribe", "x"]).contains("GET /events?topic=..."));
    let long: &'static str = "x".repeat(200).leak();
    let quoted = "x".repeat(128);
    assert_eq!(
        unknown(&["foo", long, "b"]),
        format!("ERR unknown command 'foo', with args beginning with: '{quoted}' ")
    );
    assert_eq!(
        unknown(&[long]),
        format!("ERR unknown command '{quoted}', with args beginning with: ")
    );
}

#[test]
fn the_table_is_sound() {
    for spec in COMMANDS.all() {
        assert!(
            !spec.name.contains('|') && !spec.summary.is_empty(),
            "{}",
            spec.name
        );
        assert_eq!(spec.name, spec.name.to_ascii_lowercase());
        let only_container = matches!(spec.run, Run::Subcommands);
        assert!(
            !only_container || !spec.subcommands.is_empty(),
            "{}",
            spec.name
        );
        assert!(!only_container || spec.arity == -2, "{}", spec.name);
        for sub in spec.subcommands {
            assert!(
                sub.name.starts_with(&format!("{}|", spec.name)),
                "{}",
                sub.name
            );
            assert!(
                sub.subcommands.is_empty() && !sub.summary.is_empty(),
                "{}",
                sub.name
            );
        }
    }
    let [publish, xadd, ..] = COMMANDS.all() else {
        panic!("the hot ones come first")
    };
    assert!(publish.takes(3) && !publish.takes(2) && !publish.takes(4));
    assert!(xadd.takes(5) && xadd.takes(50) && !xadd.takes(4));
}
