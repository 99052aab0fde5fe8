//! `XADD`: an event of several fields.
//!
//! `data`, `event`, `id`, `retry`, `private` and `topic` name the event's fields, and `key` its
//! idempotency key, which needs `data`. Without `data`, all other fields together become a JSON
//! object.

use std::borrow::Cow;

use hashbrown::HashSet;
use serde::ser::{SerializeMap as _, Serializer as _};

use super::error::{CommandError, quote};
use super::history::parse_id;
use super::publish::{Answer, Publication};
use super::{Prepared, integer, is_word, text};
use crate::core::event::{Event, IdForm, Topics};
use crate::core::idempotency::{Name, Owner, Place, Scope};
use crate::core::sse::Draft;
use crate::ingest::Port;
use crate::ingest::resp::Arg;
use crate::ingest::users::User;

/// `XADD topic [NOMKSTREAM] [MAXLEN|MINID [=|~] n [LIMIT n]] * field value …`
pub(super) fn xadd<'b>(
    port: &Port,
    user: &User,
    args: &[Arg<'b>],
) -> Result<Prepared<'b>, CommandError> {
    let options = XaddOptions::parse(args)?;
    let limits = port.hub.event_limits();
    let event = fields_to_event(
        text(&args[1], "a topic")?,
        &args[options.fields..],
        limits.topics_per_event_max,
    )?;
    if !event.topics.iter().all(|topic| user.may_publish(topic)) {
        return Err(CommandError::NoPermissionKey);
    }
    let name = event.key.as_deref().map(|key| {
        let owner = Owner::new(Scope::User(user.name()));
        Name::new(owner, key, Place::ONLY)
    });
    let mut draft = Draft::new(event, limits)?;
    if let Some(name) = name {
        draft.set_key(name);
    }
    let publication = Publication {
        draft,
        answer: Answer::Id,
    };
    Ok(if options.only_known {
        Prepared::PublishIfKnown(publication)
    } else {
        Prepared::Publish(publication)
    })
}

/// The options of `XADD`. `MAXLEN` and `MINID` are checked and then ignored: the node decides how
/// much history a topic keeps (`history_events`, `history_bytes`, `history_age`), or one publisher
/// could delete another's history.
#[derive(Debug, PartialEq, Eq)]
struct XaddOptions {
    only_known: bool,
    /// Index of the first field.
    fields: usize,
}

impl XaddOptions {
    fn parse(args: &[Arg<'_>]) -> Result<Self, CommandError> {
        let mut only_known = false;
        let mut trim = Trim::default();
        let mut at = 2;
        while let Some(arg) = args.get(at) {
            let more = args.len() - at - 1;
            if **arg == *b"*" {
                break;
            }
            at += if is_word(arg, "nomkstream") {
                only_known = true;
                1
            } else if is_word(arg, "maxlen") && more > 0 {
                trim.strategy(&args[at + 1..], |threshold| match integer(threshold)? {
                    ..0 => Err(CommandError::Negative("MAXLEN")),
                    _ => Ok(()),
                })?
            } else if is_word(arg, "minid") && more > 0 {
                trim.strategy(&args[at + 1..], |threshold| {
                    parse_id(threshold, 0).map(|_| ())
                })?
            } else if is_word(arg, "limit") && more > 0 {
                if integer(&args[at + 1])? < 0 {
                    return Err(CommandError::Negative("LIMIT"));
                }
                trim.limited = true;
                2
            } else {
                return Err(refused_id(arg));
            };
        }
        trim.check()?;
        let fields = at + 1;
        let count = args.len().saturating_sub(fields);
        if count == 0 || count % 2 != 0 {
            return Err(CommandError::Arity("xadd"));
        }
        Ok(Self { only_known, fields })
    }
}

/// The trimming options.
#[derive(Debug, Default)]
struct Trim {
    given: bool,
    approximate: bool,
    limited: bool,
}

impl Trim {
    /// Reads `[=|~] threshold`; returns the number of arguments read, the strategy's name included.
    fn strategy(
        &mut self,
        args: &[Arg<'_>],
        check: impl Fn(&Arg<'_>) -> Result<(), CommandError>,
    ) -> Result<usize, CommandError> {
        if self.given {
            return Err(CommandError::SyntaxBecause(
                "MAXLEN and MINID options at the same time are not compatible",
            ));
        }
        self.given = true;
        // As in Redis, a sign counts only if a threshold follows it.
        let signed = args.len() > 1 && matches!(&*args[0], b"=" | b"~");
        self.approximate = signed && *args[0] == *b"~";
        check(&args[usize::from(signed)])?;
        Ok(2 + usize::from(signed))
    }

    fn check(&self) -> Result<(), CommandError> {
        if self.limited && !self.given {
            return Err(CommandError::SyntaxBecause(
                "LIMIT cannot be used without specifying a trimming strategy",
            ));
        }
        if self.limited && !self.approximate {
            return Err(CommandError::SyntaxBecause(
                "LIMIT cannot be used without the special ~ option",
            ));
        }
        Ok(())
    }
}

/// Why an id other than `*` is refused.
fn refused_id(id: &Arg<'_>) -> CommandError {
    let milliseconds = id.strip_suffix(b"-*").unwrap_or(id);
    match parse_id(milliseconds, 0) {
        Ok(_) => CommandError::ExplicitId,
        Err(error) => error,
    }
}

/// Makes an event of the fields of an `XADD`.
fn fields_to_event<'b>(
    topic: Cow<'b, str>,
    fields: &[Arg<'b>],
    topics_max: usize,
) -> Result<Event<'b>, CommandError> {
    let mut topics = Topics::new();
    topics.push(topic);
    let mut data = None;
    let mut event = None;
    let mut id = None;
    let mut retry = None;
    let mut private = None;
    let mut key = None;
    let mut others = Vec::new();
    for pair in fields.chunks_exact(2) {
        let (name, value) = (&pair[0], &pair[1]);
        match &**name {
            b"data" => once(&mut data, name, text(value, "`data`")?)?,
            b"event" => once(&mut event, name, text(value, "`event`")?)?,
            b"id" => once(&mut id, name, text(value, "`id`")?)?,
            b"retry" => once(&mut retry, name, milliseconds(value)?)?,
            b"private" => once(&mut private, name, truth(value)?)?,
            b"key" => once(&mut key, name, text(value, "`key`")?)?,
            b"topic" => {
                let topic = text(value, "`topic`")?;
                // An event has each topic once. Beyond the limit it is refused anyway, so the
                // search stays short.
                if topics.len() > topics_max || !topics.contains(&topic) {
                    topics.push(topic);
                }
            }
            _ => others.push((text(name, "a field")?, text(value, "a field")?)),
        }
    }
    let data = match (data, others.first()) {
        (Some(data), None) => data,
        (Some(_), Some((name, _))) => {
            return Err(CommandError::FieldBesideData(quote(name.as_bytes())));
        }
        // It may be meant as a part of the data: an equal event would not be published.
        (None, _) if key.is_some() => return Err(CommandError::KeyWithoutData),
        (None, _) => Cow::Owned(json_object(&others)?),
    };
    Ok(Event {
        topics,
        data,
        event,
        id,
        retry,
        private: private.unwrap_or(false),
        id_form: IdForm::Native,
        key,
    })
}

fn once<T>(slot: &mut Option<T>, name: &Arg<'_>, value: T) -> Result<(), CommandError> {
    if slot.replace(value).is_some() {
        return Err(CommandError::FieldTwice(quote(name)));
    }
    Ok(())
}

fn milliseconds(value: &Arg<'_>) -> Result<u64, CommandError> {
    integer(value)
        .ok()
        .and_then(|number| u64::try_from(number).ok())
        .ok_or(CommandError::Retry)
}

fn truth(value: &Arg<'_>) -> Result<bool, CommandError> {
    let is_any = |words: [&str; 2]| words.iter().any(|word| is_word(value, word));
    if is_any(["1", "true"]) {
        Ok(true)
    } else if is_any(["0", "false"]) {
        Ok(false)
    } else {
        Err(CommandError::Private)
    }
}

/// The fields as a JSON object of strings, in the publisher's order.
fn json_object(fields: &[(Cow<'_, str>, Cow<'_, str>)]) -> Result<String, CommandError> {
    let mut seen = HashSet::with_capacity(fields.len());
    if let Some((twice, _)) = fields.iter().find(|(name, _)| !seen.insert(name)) {
        // JSON parsers keep one of two equal names, so the other value would vanish unseen.
        return Err(CommandError::FieldTwice(quote(twice.as_bytes())));
    }
    let mut json = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut json);
    let written = serializer
        .serialize_map(Some(fields.len()))
        .and_then(|mut map| {
            for (name, value) in fields {
                map.serialize_entry(name, value)?;
            }
            map.end()
        });
    // Strings written to memory: neither step can fail.
    written
        .ok()
        .and_then(|()| String::from_utf8(json).ok())
        .ok_or(CommandError::NotUtf8("a field"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&'static str]) -> Vec<Arg<'static>> {
        words
            .iter()
            .map(|word| Cow::Borrowed(word.as_bytes()))
            .collect()
    }

    fn options(words: &str) -> Result<XaddOptions, String> {
        let words: Vec<&'static str> = words.to_owned().leak().split(' ').collect();
        XaddOptions::parse(&args(&words)).map_err(|error| error.to_string())
    }

    fn event(words: &[&'static str]) -> Result<Event<'static>, String> {
        fields_to_event("t".into(), &args(words), 3).map_err(|error| error.to_string())
    }

    #[test]
    fn xadd_options_are_read_as_in_redis() {
        let found = |only_known, fields| Ok(XaddOptions { only_known, fields });
        assert_eq!(options("xadd t * f v"), found(false, 3));
        assert_eq!(options("xadd t NoMkStream * f v"), found(true, 4));
        assert_eq!(options("xadd t MAXLEN 10 * f v"), found(false, 5));
        assert_eq!(options("xadd t MAXLEN ~ 10 * f v"), found(false, 6));
        assert_eq!(
            options("xadd t maxlen ~ 10 limit 5 nomkstream * f v"),
            found(true, 9)
        );
        assert_eq!(options("xadd t LIMIT 5 MINID ~ 1-2 * f v"), found(false, 8));
        for (words, text) in [
            (
                "xadd t * f",
                "ERR wrong number of arguments for 'xadd' command",
            ),
            (
                "xadd t * f v g",
                "ERR wrong number of arguments for 'xadd' command",
            ),
            (
                "xadd t NOMKSTREAM NOMKSTREAM NOMKSTREAM",
                "ERR wrong number of arguments for 'xadd' command",
            ),
            (
                "xadd t x f v",
                "ERR Invalid stream ID specified as stream command argument",
            ),
            (
                "xadd t MAXLEN * f v",
                "ERR value is not an integer or out of range",
            ),
            (
                "xadd t MAXLEN ~ x * f v",
                "ERR value is not an integer or out of range",
            ),
            (
                "xadd t MAXLEN -1 * f v",
                "ERR The MAXLEN argument must be >= 0.",
            ),
            (
                "xadd t MAXLEN 10 LIMIT 5 * f v",
                "ERR syntax error, LIMIT cannot be used without the special ~ option",
            ),
            (
                "xadd t MAXLEN ~ 10 LIMIT x * f v",
                "ERR value is not an integer or out of range",
            ),
            (
                "xadd t MAXLEN ~ 10 LIMIT -1 * f v",
                "ERR The LIMIT argument must be >= 0.",
            ),
            (
                "xadd t MAXLEN 10 MINID 5 * f v",
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            (
                "xadd t MINID x * f v",
                "ERR Invalid stream ID specified as stream command argument",
            ),
            (
                "xadd t LIMIT 5 * f v",
                "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy",
            ),
        ] {
            assert_eq!(options(words), Err(text.to_owned()), "{words}");
        }
        for id in ["0-1", "5", "5-*", "18446744073709551615-1"] {
            let refused = options(&format!("xadd t {id} f v")).expect_err("explicit");
            assert!(refused.contains("ids are given by the node"), "{refused}");
        }
    }

    #[test]
    fn reserved_fields_make_the_event() {
        let made = event(&[
            "topic", "u", "data", "d", "event", "e", "id", "i", "retry", "5", "private", "TRUE",
            "topic", "t", "topic", "v", "key", "k",
        ]);
        let expected = Event {
            topics: ["t", "u", "v"].map(Cow::Borrowed).into_iter().collect(),
            data: "d".into(),
            event: Some("e".into()),
            id: Some("i".into()),
            retry: Some(5),
            private: true,
            id_form: IdForm::Native,
            key: Some("k".into()),
        };
        assert_eq!(made, Ok(expected));
    }

    #[test]
    fn other_fields_make_a_json_object_in_order() {
        let made = event(&["b", "1", "a", "\"\n", "event", "e"]).expect("valid");
        assert_eq!(made.data, r#"{"b":"1","a":"\"\n"}"#);
        assert_eq!(made.event.as_deref(), Some("e"));
        assert_eq!(event(&["event", "e"]).expect("valid").data, "{}");
    }

    #[test]
    fn fields_are_refused_by_name() {
        for (words, text) in [
            (
                &["data", "a", "data", "b"][..],
                "ERR field 'data' is given twice",
            ),
            (&["f", "a", "f", "b"], "ERR field 'f' is given twice"),
            (
                &["data", "a", "f", "b"],
                "ERR field 'f' cannot stand beside `data`",
            ),
            (
                &["key", "k", "temp", "21"],
                "ERR field 'key' is the idempotency key",
            ),
            (&["key", "k"], "ERR field 'key' is the idempotency key"),
            (&["retry", "-1"], "ERR `retry` must be"),
            (&["retry", "1.5"], "ERR `retry` must be"),
            (&["private", "yes"], "ERR `private` must be"),
        ] {
            let refused = event(words).expect_err("must be refused");
            assert!(refused.starts_with(text), "{refused}");
        }
        let bad = [Cow::Borrowed(&b"data"[..]), Cow::Borrowed(&b"\xff"[..])];
        let refused = fields_to_event("t".into(), &bad, 3).expect_err("not UTF-8");
        assert_eq!(refused.to_string(), "ERR `data` must be UTF-8");
    }

    #[test]
    fn topics_beyond_the_limit_are_left_to_be_refused() {
        let words: Vec<&'static str> = (0..10)
            .flat_map(|n| ["topic", format!("{n}").leak() as &'static str])
            .collect();
        assert!(event(&words).expect("parsed").topics.len() > 3);
    }
}
