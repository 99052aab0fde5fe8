//! Random sequences of commands, drawn from a grammar whose sentences have no intended difference.
//!
//! `PUBLISH` and `XADD` use different topics, because here both are kept; and a transaction reads
//! nothing, because here all its events are published first.

use crate::support::{command, command_bytes};

/// Sequences of a run.
pub(crate) const SEQUENCES: u64 = 300;

/// Most commands of a sequence.
const COMMANDS_MAX: usize = 14;

/// The bytes of a sequence, and how many of them go into a packet.
pub(crate) fn sequence(seed: u64, number: u64) -> (Vec<u8>, usize) {
    let mut dice = fastrand::Rng::with_seed(seed.wrapping_mul(1_000_003).wrapping_add(number));
    let mut writer = Writer {
        topics: ["a", "b"].map(|name| format!("{name}{number}")),
        may_be_in_multi: false,
        dice: &mut dice,
    };
    let mut bytes = Vec::new();
    for _ in 0..writer.dice.usize(1..=COMMANDS_MAX) {
        let words = writer.command();
        bytes.extend(writer.encode(&words));
    }
    let piece = match dice.usize(0..4) {
        0 => dice.usize(1..40),
        _ => usize::MAX,
    };
    (bytes, piece)
}

struct Writer<'d> {
    topics: [String; 2],
    may_be_in_multi: bool,
    dice: &'d mut fastrand::Rng,
}

impl Writer<'_> {
    fn one(&mut self, of: &[&str]) -> String {
        of[self.dice.usize(..of.len())].to_owned()
    }

    fn topic(&mut self) -> String {
        self.topics[self.dice.usize(..2)].clone()
    }

    fn command(&mut self) -> Vec<String> {
        match self.dice.usize(0..26) {
            0 => vec!["PING".into()],
            1 => vec!["ECHO".into(), self.text()],
            2 | 3 => {
                let command = self.one(&["PUBLISH", "publish", "SPUBLISH"]);
                // Not one of the topics that are read.
                let channel = format!("channel-{}", self.topic());
                vec![command, channel, self.text()]
            }
            4..=6 => self.xadd(),
            7 | 8 if !self.may_be_in_multi => self.read(),
            9 | 10 => {
                self.may_be_in_multi = true;
                vec!["MULTI".into()]
            }
            11..=13 => {
                self.may_be_in_multi = false;
                vec![self.one(&["EXEC", "EXEC", "EXEC", "DISCARD", "RESET"])]
            }
            14 => vec!["WATCH".into(), self.topic()],
            15 => vec!["UNWATCH".into()],
            16 | 17 => {
                let how = self.one(&["ON", "ON", "OFF", "SKIP", "SKIP", "off", "x"]);
                vec!["CLIENT".into(), "REPLY".into(), how]
            }
            18 => vec!["CLIENT".into(), self.one(&["GETNAME", "FOO", "ID x"])],
            19 => vec!["CLIENT".into(), "SETNAME".into(), self.one(&["me", "you"])],
            20 => vec!["HELLO".into(), self.one(&["2", "3", "3", "4", "x"])],
            21 => vec!["AUTH".into(), self.one(&["default", "bob"]), "pw".into()],
            22 => self.refused(),
            23 => {
                let script = self.one(&[
                    "return redis.call('publish', KEYS[1], ARGV[1])",
                    "for i = 1, #ARGV do redis.call('publish', KEYS[1], ARGV[i]) end",
                    "return ARGV[1]",
                ]);
                let channel = format!("channel-{}", self.topic());
                vec!["EVAL".into(), script, "1".into(), channel, self.text()]
            }
            24 => Vec::new(),
            _ => vec![
                self.one(&["PUBSUB", "SELECT"]),
                self.one(&["NUMPAT", "0", "x"]),
            ],
        }
    }

    fn text(&mut self) -> String {
        self.one(&[
            "",
            "x",
            "hello you",
            "{\"n\":1}",
            "ü",
            "'",
            "\"\\",
            "a\r\nb",
        ])
    }

    fn xadd(&mut self) -> Vec<String> {
        let mut words = vec![self.one(&["XADD", "xadd"]), self.topic()];
        if self.dice.usize(0..3) == 0 {
            words.push("NOMKSTREAM".into());
        }
        words.extend(["*", "data"].map(str::to_owned));
        // Line ends of an event are those of its stream, whichever way they came.
        words.push(self.text().replace('\r', ""));
        words
    }

    fn read(&mut self) -> Vec<String> {
        let topic = self.topic();
        let line = self.one(&[
            "XLEN {t}",
            "XRANGE {t} - +",
            "XRANGE {t} - + COUNT 1",
            "XREVRANGE {t} + -",
            "XREVRANGE {t} + - COUNT 2",
            "XREAD STREAMS {t} 0",
            "XREAD COUNT 1 STREAMS {t} 0-1",
            "XRANGE {t} x +",
            "XREAD STREAMS {t}",
        ]);
        let words = line.split(' ');
        words.map(|word| word.replace("{t}", &topic)).collect()
    }

    fn refused(&mut self) -> Vec<String> {
        if !self.may_be_in_multi && self.dice.bool() {
            // Within a transaction these are refused when they are queued.
            let line = self.one(&["EVAL x y", "EVALSHA x 0", "EVALSHA x y", "XADD a * b"]);
            return line.split(' ').map(str::to_owned).collect();
        }
        let line = self.one(&[
            "foo",
            "foo a b",
            "PUBLISH",
            "PUBLISH a b c",
            "XADD a *",
            "XLEN",
            "EXEC x",
            "MULTI x",
            "WATCH",
            "ECHO",
            "CLIENT",
            "HELLO 3 FOO",
            "SCRIPT FOO",
            "XRANGE a",
            "QUIT",
        ]);
        line.split(' ').map(str::to_owned).collect()
    }

    /// As an array, or as an inline command if possible.
    fn encode(&mut self, words: &[String]) -> Vec<u8> {
        let plain = |word: &String| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\''))
        };
        if words.is_empty() {
            return self
                .one(&["\r\n", "*0\r\n", "*-1\r\n", " \r\n"])
                .into_bytes();
        }
        if words.iter().all(plain) && self.dice.bool() {
            return (words.join(" ") + &self.one(&["\r\n", "\n", " \r\n"])).into_bytes();
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if self.dice.usize(0..200) == 0 {
            // A length that is wrong, now and then.
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let mut bytes = command_bytes(&words);
            bytes.splice(0..2, *b"*x");
            return bytes;
        }
        command(&words)
    }
}
