//! Scripts that publish: clients send them with `EVAL` to publish several events at once.
//!
//! This is not a Lua interpreter. It understands scripts that consist of calls of a few commands,
//! loops over `KEYS` and `ARGV`, and names for values; any other script is refused as a whole. A
//! script is one sequence of calls without conditions, so all its calls are known before the first
//! is made, and they can be made together or not at all. This module knows no topics and no users,
//! and publishes nothing.

mod lexer;
mod parser;
mod run;
mod size;

use thiserror::Error;

use parser::Statement;
pub(super) use run::{Bounds, Outcome, Stop};

/// Longest script, in bytes. Scripts that publish have some hundred.
pub(super) const SCRIPT_BYTES_MAX: usize = 16 * 1024;

/// A script that is understood.
#[derive(Debug)]
pub(super) struct Script {
    statements: Vec<Statement>,
}

/// Why a script is not understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    #[error("it is longer than {SCRIPT_BYTES_MAX} bytes")]
    TooLong,
    #[error("line {line}: {what}")]
    Unknown { line: u32, what: &'static str },
}

impl Script {
    /// Reads a script. It may call only commands whose lower-case names satisfy `is_known`.
    pub(super) fn parse(text: &[u8], is_known: fn(&str) -> bool) -> Result<Self, Refusal> {
        if text.len() > SCRIPT_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        let tokens = lexer::tokens(text)?;
        let statements = parser::parse(&tokens, is_known)?;
        Ok(Self { statements })
    }

    /// The memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + size::bytes_of(&self.statements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::resp::Arg;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds {
        steps_max: 100,
        values_max: 1_000,
        bytes_max: 10_000,
    };

    fn parse(text: &str) -> Result<Script, Refusal> {
        Script::parse(text.as_bytes(), |name| name == "publish")
    }

    /// The calls of a script with the keys `k1 k2` and the arguments `a1 a2 a3`, and its answer.
    fn run(text: &str) -> Result<(Vec<String>, Outcome), Stop> {
        let args = |words: &[&'static str]| -> Vec<Arg<'static>> {
            words.iter().map(|word| word.as_bytes().into()).collect()
        };
        let mut calls = Vec::new();
        let mut call = |_: u32, _: &str, args: Vec<Arg<'_>>| {
            let words: Vec<_> = args[1..]
                .iter()
                .map(|arg| String::from_utf8_lossy(arg))
                .collect();
            calls.push(words.join(" "));
            Ok::<_, Stop>(())
        };
        let script = parse(text).unwrap_or_else(|refusal| panic!("{text}: {refusal}"));
        let (keys, args) = (args(&["k1", "k2"]), args(&["a1", "a2", "a3"]));
        let outcome = script.run(&keys, &args, BOUNDS, &mut call)?;
        Ok((calls, outcome))
    }

    #[test]
    fn scripts_that_publish_make_the_calls_that_lua_makes() {
        let integer = Outcome::Integer;
        let text = |text: &str| Outcome::Text(text.as_bytes().into());
        for (script, calls, outcome) in [
            // Laravel's broadcaster.
            (
                "for i = 2, #ARGV do\n  redis.call('publish', ARGV[i], ARGV[1])\nend",
                &["a2 a1", "a3 a1"][..],
                Outcome::Nil,
            ),
            ("", &[], Outcome::Nil),
            ("return", &[], Outcome::Nil),
            (
                "redis.call('publish', KEYS[1], ARGV[1])",
                &["k1 a1"],
                Outcome::Nil,
            ),
            (
                "return redis.call(\"PUBLISH\",KEYS[2],ARGV[3]);",
                &["k2 a3"],
                Outcome::Reply(0),
            ),
            (
                "return redis . pcall ( 'publish' , [[x]] , 7 )",
                &["x 7"],
                Outcome::Reply(0),
            ),
            (
                "-- two\nredis.call('publish', 'a', 'b'); redis.call('publish', 'c', \"d\") --[[ done ]] return 1",
                &["a b", "c d"],
                integer(1),
            ),
            (
                "local channel, data = KEYS[1], ARGV[1] local n = redis.call('publish', channel, data) return n",
                &["k1 a1"],
                Outcome::Reply(0),
            ),
            (
                "redis.call('publish', 'x', 1) return redis.call('publish', 'x:' .. KEYS[1] .. 2, ARGV[1])",
                &["x 1", "x:k12 a1"],
                Outcome::Reply(1),
            ),
            (
                "for i, key in ipairs(KEYS) do redis.call('publish', key, ARGV[i + 1]) end return #KEYS",
                &["k1 a2", "k2 a3"],
                integer(2),
            ),
            (
                "for _, c in ipairs(ARGV) do local t = 't' .. c redis.call('publish', t, c) end return 'OK'",
                &["ta1 a1", "ta2 a2", "ta3 a3"],
                text("OK"),
            ),
            (
                "for i = #ARGV, 1, -2 do redis.call('publish', i, ARGV[i]) end return true",
                &["3 a3", "1 a1"],
                integer(1),
            ),
            (
                "for i = 1, 3 do return redis.call('publish', 't', i) end",
                &["t 1"],
                Outcome::Reply(0),
            ),
            (
                "for i = 2, 1 do redis.call('publish', 't', i) end return false",
                &[],
                Outcome::Nil,
            ),
            (
                "for i = 9223372036854775807, 9223372036854775807 do end return nil",
                &[],
                Outcome::Nil,
            ),
            (
                "local i = 1 for i = 2, 2 do redis.call('publish', 't', ARGV[i]) end return ARGV[i]",
                &["t a2"],
                text("a1"),
            ),
            ("return #ARGV - #KEYS + 1", &[], integer(2)),
            ("return -1", &[], integer(-1)),
        ] {
            let calls = calls.iter().map(|call| (*call).to_owned()).collect();
            assert_eq!(run(script), Ok((calls, outcome)), "{script}");
        }
    }

    #[test]
    fn what_would_not_do_the_same_here_stops_the_script() {
        for (script, stop) in [
            (
                "\nredis.call('publish', KEYS[3], 'x')",
                Stop::NilArgument { line: 2 },
            ),
            (
                "redis.call('publish', 't', ARGV[0])",
                Stop::NilArgument { line: 1 },
            ),
            (
                "redis.call('publish', 't', nil)",
                Stop::NilArgument { line: 1 },
            ),
            (
                "redis.call('publish', 't', ARGV[-9223372036854775807])",
                Stop::NilArgument { line: 1 },
            ),
            (
                "local n = redis.call('publish', 't', 'x') redis.call('publish', 't', n)",
                Stop::Unsuited,
            ),
            ("redis.call('publish', 't', 'x' .. KEYS[9])", Stop::Unsuited),
            ("return ARGV['x']", Stop::Unsuited),
            ("return ARGV[1] + 1", Stop::Unsuited),
            ("return 9223372036854775807 + 1", Stop::Unsuited),
            ("for i = 1, 9, 0 do end", Stop::Unsuited),
            ("for i = 'a', 9 do end", Stop::Unsuited),
            ("for i = 1, 101 do end", Stop::TooLong),
            (
                "for i = 1, 100 do local a = 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 end",
                Stop::TooManyValues,
            ),
            (
                "for i = 1, 100 do local a, b, c, d, e = i, i, i, i, i local f, g, h, j, k = i, i, i, i, i end",
                Stop::TooManyValues,
            ),
            (
                "for i = 1, 9223372036854775807 do redis.call('publish', 't', i) end",
                Stop::TooLong,
            ),
        ] {
            assert_eq!(run(script), Err(stop), "{script}");
        }
    }

    #[test]
    fn a_script_cannot_double_its_texts_without_end() {
        let doubling = "local a = 'x' ".to_owned() + &"local a = a .. a ".repeat(60);
        assert_eq!(run(&doubling), Err(Stop::TooLarge));
        let copies = format!(
            "local a = '{}' {}",
            "x".repeat(1_000),
            "local b = a ".repeat(60)
        );
        assert_eq!(run(&copies), Err(Stop::TooLarge));
    }

    #[test]
    fn any_other_script_is_refused() {
        for script in [
            "foo",
            "publish('a', 'b')",
            "redis.call('get', KEYS[1])",
            "redis.call('publish', 'a', 'b') redis.call('set', 'a', 'b')",
            "redis.call(KEYS[1], 'a', 'b')",
            "redis.call('pub' .. 'lish', 'a', 'b')",
            "redis.call('publish' + 1, 'a', 'b')",
            "redis.call()",
            "redis.call 'publish'",
            "redis.call('publish', 'a', 'b'",
            "redis.call('publish', 'a', redis.call('publish', 'c', 'd'))",
            "redis.call('publish', 'a', cjson.encode(ARGV))",
            "redis.publish('a', 'b')",
            "redis['call']('publish', 'a', 'b')",
            "if ARGV[1] then redis.call('publish', 'a', 'b') end",
            "while true do end",
            "for i = 1, 2 do for j = 1, 2 do end end",
            "for i = 1, 2 do",
            "for i = 1 do end",
            "for i in KEYS do end",
            "for k, v in pairs(KEYS) do redis.call('publish', v, 'x') end",
            "for redis = 1, 2 do end",
            "local KEYS = 1",
            "local a",
            "local a, b = 1",
            "local function f() end",
            "x = 1",
            "return x",
            "for i = 1, 2 do end return i",
            "return 1 redis.call('publish', 'a', 'b')",
            "return 1, 2",
            "return {1}",
            "return ARGV",
            "return #'x'",
            "return ARGV[ARGV[ARGV[ARGV[ARGV[1]]]]]",
            "end",
            ";",
            "redis.call('publish', 'a', 'b');;",
        ] {
            assert!(parse(script).is_err(), "{script}");
        }
        let long = format!("--{}", "x".repeat(SCRIPT_BYTES_MAX - 2));
        assert!(parse(&long).is_ok());
        assert_eq!(parse(&format!("{long}x")).err(), Some(Refusal::TooLong));
        let refusal = parse("\n\nfoo").expect_err("no call").to_string();
        assert!(refusal.starts_with("line 3: "), "{refusal}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        /// Any bytes, and any words of the language in any order, are read to an end.
        #[test]
        fn no_script_breaks_the_reader(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "redis", ".", "call", "(", ")", "'publish'", ",", "KEYS", "[", "]", "1", "i", "for", "=", "#", "ARGV", "do", "end", "return",
                    "local", "..", "-", ";", "in", "ipairs", "nil", "\n", "--", "[[", "]]", "'",
                ]),
                0..30,
            ),
        ) {
            let _ = Script::parse(&bytes, |_| true);
            if let Ok(script) = parse(&words.join(" ")) {
                let _ = script.run(&[], &[], BOUNDS, &mut |_, _, _| Ok::<_, Stop>(()));
            }
        }
    }
}
