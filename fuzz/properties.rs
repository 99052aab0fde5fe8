//! What has to hold for any input. The fuzz targets and `tests/fuzz_smoke.rs` both call these, so
//! that neither can rot.

// Each fuzz target compiles this module for itself and uses one function of it.
#![allow(dead_code)]

use std::sync::{Arc, LazyLock};

use fantail::api::{Events, choose_cursor, idempotency_key_of, parse_publish_json};
use fantail::auth::{Auth, KeySet, Policy, Role, SigningKey, TopicRule};
use fantail::bridge::entry::{self, Token};
use fantail::bridge::pubsub::{message, wire};
use fantail::core::desk::{Desk, DeskConfig};
use fantail::core::event::EventId;
use fantail::core::history::{Ending, HistoryLimits, HoldLimits, Released, Revival, Work};
use fantail::core::idempotency;
use fantail::core::limits::EventLimits;
use fantail::core::places::{Places, Share};
use fantail::core::presence::Listed;
use fantail::core::selector::{Selector, Syntax};
use fantail::core::sse::Draft;
use fantail::hub::Hub;
use fantail::hub::log::Item;
use fantail::ingest::resp::{Arg, Limits, ProtocolError, Reader};
use fantail::server::{RequestFault, RequestGuard, RequestLimits};
use fantail::state::{Reader as StateReader, StateRecord, Writer};
use fantail::web::host::{Authority, HostPattern, HostRule};
use fantail::web::origin::WebOrigin;

/// Small, so that an input of a fuzzer's size reaches them.
const RESP_LIMITS: Limits = Limits {
    array_max: 16,
    bulk_bytes_max: 256,
    command_bytes_max: 512,
    authenticated: true,
};

/// Most events that a fuzzed array may have.
const BATCH_MAX: usize = 8;

/// The commands of a connection, and how it ended: what remained, or the error.
type Commands = (Vec<Vec<Vec<u8>>>, Result<usize, ProtocolError>);

/// Commands are the same however the bytes are cut, and no command is larger than allowed.
pub(crate) fn resp(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&1, &[]));
    let piece = usize::from(*first).max(1);
    let whole = read_commands(bytes, bytes.len().max(1));
    assert_eq!(whole, read_commands(bytes, piece), "in pieces of {piece}");
    for command in &whole.0 {
        let size: usize = command.iter().map(Vec::len).sum();
        assert!(size <= RESP_LIMITS.command_bytes_max, "{command:?}");
    }
}

/// Reads all commands as a connection does that is given `piece` bytes at a time.
fn read_commands(bytes: &[u8], piece: usize) -> Commands {
    let mut reader = Reader::default();
    let mut commands = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        let mut args: Vec<Arg<'_>> = Vec::new();
        match reader.next(&RESP_LIMITS, &bytes[start..end], &mut args) {
            Ok(Some(length)) => {
                assert!(length > 0, "a command takes bytes");
                start += length;
                commands.push(args.into_iter().map(|arg| arg.into_owned()).collect());
            }
            Ok(None) if end == bytes.len() => return (commands, Ok(bytes.len() - start)),
            Ok(None) => end = bytes.len().min(end + piece),
            Err(error) => return (commands, Err(error)),
        }
    }
}

/// A body is read or refused, and an event that was read is refused exactly by its own check.
pub(crate) fn publish_json(input: &[u8]) {
    let events = match parse_publish_json(input, BATCH_MAX) {
        Ok(Events::One(event)) => vec![event],
        Ok(Events::Many(events)) => events,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(events.len() <= BATCH_MAX.max(1));
    let limits = EventLimits::default();
    for event in events {
        let checked = event.check(&limits);
        assert_eq!(Draft::new(event, &limits).map(drop), checked);
    }
}

/// A key that is read has the form of one, and is the same in quotes.
pub(crate) fn idempotency_key(input: &[u8]) {
    let Some(key) = idempotency_key_of(input) else {
        return;
    };
    assert_eq!(idempotency::check(&key), Ok(()));
    let escaped = key.replace('\\', r"\\").replace('"', r#"\""#);
    let quoted = format!("\"{escaped}\"");
    assert_eq!(idempotency_key_of(quoted.as_bytes()), Some(key));
}

/// What is read of an entry is the same when a node writes it, and what cannot be read has a reason. A
/// line of the input is a field: its name, `=`, its value.
pub(crate) fn log_entry(input: &[u8]) {
    let fields = input.split(|byte| *byte == b'\n').map(|line| {
        let at = line.iter().position(|byte| *byte == b'=');
        let (name, value) = line.split_at(at.unwrap_or(line.len()));
        (name, value.get(1..).unwrap_or_default())
    });
    let id = EventId::new(1 << 30);
    let read = entry::read(id, fields.clone());
    assert_eq!(read.print, entry::read(id, fields).print);
    if let Some(marker) = read.marker {
        assert!(matches!(read.content.item, Item::Pass));
        let again = read_fields(id, &entry::of_marker(marker));
        assert_eq!(again.marker, Some(marker));
    }
    let token = Token { node: 1, number: 2 };
    match read.content.item {
        Item::Event(record) => {
            let again = read_fields(id, &entry::of_record(record.clone(), token));
            assert_eq!(again.content.token, Some(token));
            let Item::Event(same) = again.content.item else {
                panic!("{:?}", again.content.item);
            };
            assert_eq!(same, record);
            let _ = record.into_draft(&EventLimits::default());
        }
        Item::Erase(topic) => {
            let again = read_fields(id, &entry::of_erase(&topic, token));
            assert!(matches!(again.content.item, Item::Erase(same) if same == topic));
        }
        Item::Unreadable(reason) => assert!(!reason.is_empty()),
        Item::Pass => assert!(read.marker.is_some()),
        Item::TooLarge { .. } => panic!("no input is so large"),
    }
}

fn read_fields(id: EventId, fields: &entry::Fields) -> entry::Read {
    let pairs = fields.iter();
    entry::read(id, pairs.map(|(name, value)| (name.as_bytes(), &value[..])))
}

/// A line of a roster that is read begins with its id, and its ends are JSON.
pub(crate) fn roster_line(input: &[u8]) {
    let Ok(line) = std::str::from_utf8(input) else {
        return;
    };
    let Some(listed) = Listed::parse(line) else {
        return;
    };
    let id = line.split(' ').next().map(str::parse);
    assert_eq!(id, Some(Ok(listed.id())));
    for end in Hub::ends_of(&listed) {
        let json: serde_json::Value = serde_json::from_str(&end.data).expect("JSON");
        assert_eq!(json["active"], false);
    }
}

/// A message of a channel is read or refused, and an event that was read is refused exactly by its
/// own check.
pub(crate) fn channel_message(input: &[u8]) {
    match message::read(input, "channel") {
        Ok(read) => {
            let limits = EventLimits::default();
            let checked = read.event.check(&limits);
            assert_eq!(Draft::new(read.event, &limits).map(drop), checked);
        }
        Err(refused) => assert!(!refused.to_string().is_empty()),
    }
}

/// Longest text of a subscription that is held.
const TEXT_BYTES_MAX: usize = 64;

/// What a server sends to a subscriber is the same however the bytes are cut, and no text is longer than
/// allowed.
pub(crate) fn channel_wire(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&1, &[]));
    let piece = usize::from(*first).max(1);
    let whole = read_frames(bytes, bytes.len().max(1));
    assert_eq!(whole, read_frames(bytes, piece), "in pieces of {piece}");
    for frame in &whole.0 {
        let items = match frame {
            wire::Frame::One(item) => std::slice::from_ref(item),
            wire::Frame::Array(items) => items,
        };
        for item in items {
            match item {
                wire::Item::Text(text) => assert!(text.len() <= TEXT_BYTES_MAX),
                wire::Item::TooLong(length) => assert!(*length > TEXT_BYTES_MAX as u64),
                _ => {}
            }
        }
    }
}

/// The frames of a subscription, and why no more can be read.
fn read_frames(bytes: &[u8], piece: usize) -> (Vec<wire::Frame>, Option<wire::NotRedis>) {
    let mut reader = wire::Reader::new(TEXT_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in bytes.chunks(piece) {
        reader.buffer().extend_from_slice(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// A cursor is found wherever it stands, and an event id has one spelling.
pub(crate) fn last_event_id(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    let (header, query) = (parts.next(), parts.next());
    let query = query.map(String::from_utf8_lossy);
    let chosen = choose_cursor(header, query.as_deref());
    if let Some(Ok(header)) = header.filter(|id| !id.is_empty()).map(std::str::from_utf8) {
        assert_eq!(chosen.as_deref(), Some(header), "the header wins");
    }
    let Some(cursor) = chosen else { return };
    assert!(!cursor.is_empty());
    if let Ok(id) = cursor.parse::<EventId>() {
        assert_eq!(id.to_string(), cursor);
        assert_eq!(EventId::from_parts(id.unix_ms(), id.counter()), Some(id));
    }
}

/// Small, so that an input of a fuzzer's size reaches them.
const REQUEST_LIMITS: RequestLimits = RequestLimits {
    trailer_bytes_max: 64,
    trailer_count_max: 4,
};

/// Header fields that the second reader has room for.
const REQUEST_FIELDS_MAX: usize = 1_024;

/// What is wrong with requests is the same however the bytes are cut, and a second reader finds the
/// same requests in what may pass.
pub(crate) fn request(input: &[u8]) {
    let (first, bytes) = input.split_first().unwrap_or((&1, &[]));
    let piece = usize::from(*first).max(1);
    let (passed, fault, ends) = follow(bytes, bytes.len().max(1));
    assert_eq!((passed, fault), {
        let (passed, fault, _) = follow(bytes, piece);
        (passed, fault)
    });
    assert_eq!(fault.is_none(), passed == bytes.len());
    let (_, _, each) = follow(bytes, 1);
    assert!(ends.iter().all(|end| each.contains(end)));
    let read = ends_of_requests(&bytes[..passed]);
    let is_text = std::str::from_utf8(&bytes[..passed]).is_ok();
    assert!(
        each.starts_with(&read),
        "a second reader: {each:?}, {read:?}"
    );
    assert!(
        each == read || !is_text,
        "a second reader: {each:?}, {read:?}"
    );
}

/// How many bytes pass, why no more do, and where, at the ends of pieces, a request ends.
fn follow(bytes: &[u8], piece: usize) -> (usize, Option<RequestFault>, Vec<usize>) {
    let mut guard = RequestGuard::new(REQUEST_LIMITS);
    let mut passed = 0;
    let mut ends = Vec::new();
    for piece in bytes.chunks(piece) {
        passed += guard.receive(piece);
        if guard.fault().is_some() {
            break;
        }
        if guard.is_between_requests() {
            ends.push(passed);
        }
    }
    (passed, guard.fault(), ends)
}

/// Where requests end, by the parser that hyper uses. Framing fields that are there are right: a
/// guard has let them pass.
fn ends_of_requests(bytes: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut at = 0;
    while let Some(length) = length_of_request(&bytes[at..]) {
        at += length;
        ends.push(at);
    }
    ends
}

/// `None` for a request that is not whole.
fn length_of_request(bytes: &[u8]) -> Option<usize> {
    let mut fields = [httparse::EMPTY_HEADER; REQUEST_FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let mut at = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => {
            // Who reads the bytes of a target as text has to look at them himself.
            let line = bytes.trim_ascii_start().split(|byte| *byte == b'\n').next();
            let is_text = line.is_some_and(|line| std::str::from_utf8(line).is_ok());
            assert!(!is_text, "a head that may pass: {error}");
            return None;
        }
    };
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name))
    };
    if field("transfer-encoding").is_none() {
        let length = field("content-length").map_or(0, |field| {
            let text = std::str::from_utf8(field.value).expect("a number");
            text.trim_matches([' ', '\t']).parse().expect("a number")
        });
        return at.checked_add(length).filter(|end| *end <= bytes.len());
    }
    loop {
        let rest = bytes.get(at..)?;
        let line = httparse::parse_chunk_size(rest).expect("a chunk line that may pass");
        let httparse::Status::Complete((length, size)) = line else {
            return None;
        };
        at += length;
        if size == 0 {
            break;
        }
        at = at
            .checked_add(usize::try_from(size).ok()?)?
            .checked_add(2)?;
    }
    let mut fields = [httparse::EMPTY_HEADER; REQUEST_FIELDS_MAX];
    match httparse::parse_headers(&bytes[at..], &mut fields).expect("trailers that may pass") {
        httparse::Status::Complete((length, _)) => Some(at + length),
        httparse::Status::Partial => None,
    }
}

/// A host that is read is written in one way, an origin has one spelling, and a listener answers
/// for no name that is not listed. A line is a host, the next an origin, the third a value of a
/// setting.
pub(crate) fn origin(input: &[u8]) {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (host, origin, setting) = (line(), line(), line());
    let host = String::from_utf8_lossy(host);
    let authority = Authority::parse(&host);
    if let Some(authority) = &authority {
        assert!(host.is_ascii() && !host.contains(['@', '/', '\\', '?', '#', ' ']));
        let own =
            WebOrigin::parse(format!("https://{host}").as_bytes()).map(|own| own.is_at(authority));
        assert_eq!(own, Some(true), "a host is its own origin");
    }
    if let Some(one) = WebOrigin::parse(origin) {
        let text = one.to_string();
        assert_eq!(
            WebOrigin::parse(text.as_bytes()),
            Some(one.clone()),
            "{text}"
        );
        assert_eq!(
            WebOrigin::of_address(format!("{text}/a?b#c").as_bytes()),
            Some(one.clone())
        );
        assert_eq!(
            WebOrigin::parse(text.to_ascii_uppercase().as_bytes()),
            Some(one.clone())
        );
        if let Some(authority) = authority.as_ref().filter(|authority| one.is_at(authority)) {
            assert!(text.starts_with("http"), "{text} is at {authority:?}");
        }
    }
    let setting = String::from_utf8_lossy(setting);
    if let Ok(origin) = WebOrigin::from_setting(&setting) {
        let text = origin.to_string();
        assert_eq!(WebOrigin::from_setting(&text), Ok(origin.clone()), "{text}");
        assert_eq!(
            WebOrigin::parse(text.as_bytes()),
            Some(origin),
            "a browser can send it"
        );
    }
    if let Some(authority) = authority {
        let answers = HostRule::default().allows(&authority.host);
        let pattern = setting.parse::<HostPattern>().ok();
        let is_listed = pattern
            .clone()
            .is_some_and(|pattern| HostRule::new(vec![pattern]).allows(&authority.host));
        assert!(
            is_listed || pattern.is_none() || !answers,
            "a list takes nothing away"
        );
        if is_listed && !answers && setting != "*" {
            let end = setting.trim_start_matches('*').to_ascii_lowercase();
            assert!(
                host.to_ascii_lowercase().contains(&end),
                "{host} is not {setting}"
            );
        }
    }
}

/// Longest selector and topic that a fuzzer is to try.
const SELECTOR_BYTES_MAX: usize = 1_024;

/// Any text is read or refused; a selector matches its own text, and nothing without its prefix;
/// the Mercure protocol's patterns mean the same on the native API.
pub(crate) fn selector(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (text, topic) = text.split_once('\n').unwrap_or((&text, ""));
    let parse = |syntax| Selector::parse(text, syntax, SELECTOR_BYTES_MAX);
    let (mercure, native) = (parse(Syntax::Mercure), parse(Syntax::Native));
    let (Ok(mercure), Ok(native)) = (&mercure, &native) else {
        assert_eq!(mercure, native, "both refuse it");
        return;
    };
    for selector in [mercure, native, &Selector::exact(text)] {
        assert_eq!(selector.text(), text);
        assert!(selector.matches(text), "its own text");
        assert!(text.starts_with(selector.prefix()));
        if selector.matches(topic) {
            assert!(topic.starts_with(selector.prefix()));
        }
        if selector.is_exact() {
            assert_eq!(selector.matches(topic), text == topic);
            assert_eq!(*selector, Selector::exact(text));
        }
    }
    assert!(!mercure.matches(topic) || native.matches(topic));
    assert!(mercure == native || mercure.is_exact());
}

/// The secret behind the fuzzed tokens.
const TOKEN_SECRET: &[u8] = b"a secret that is long enough for HS256";

/// Small, so that an input of a fuzzer's size reaches them.
const TOKEN_SELECTORS_MAX: usize = 8;
const TOKEN_TOPIC_BYTES_MAX: usize = 32;

/// When fuzzed tokens are read, in seconds since the unix epoch.
const TOKEN_NOW: u64 = 1_700_000_000;

static TOKEN_AUTH: LazyLock<Auth> = LazyLock::new(|| {
    let rule = |text| TopicRule::parse(text, TOKEN_TOPIC_BYTES_MAX).expect("a rule");
    let auth = Auth::new(Policy {
        selectors_max: TOKEN_SELECTORS_MAX,
        topic_bytes_max: TOKEN_TOPIC_BYTES_MAX,
        topics_from: vec![rule("user/{sub}"), rule("role/{realm.roles}/{sub}")],
        ..Policy::default()
    });
    let keys = KeySet::from_secret(TOKEN_SECRET, None).expect("a key");
    auth.replace(Role::Subscriber, Arc::new(keys));
    auth
});
static TOKEN_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_secret(TOKEN_SECRET, None).expect("a key"));

/// Nothing that was not signed is valid; a header and claims that were (a line each) are read or
/// refused, and grant no more than is allowed.
pub(crate) fn token(input: &[u8]) {
    let verify = |token: &[u8]| {
        TOKEN_AUTH.verify(
            Role::Subscriber,
            token,
            std::time::Duration::from_secs(TOKEN_NOW),
        )
    };
    assert!(verify(input).is_err(), "a forged token");
    let mut lines = input.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (lines.next(), lines.next());
    let (header, claims) = (header.unwrap_or_default(), claims.unwrap_or_default());
    let token = TOKEN_KEY.sign_bytes(header, claims).expect("a token");
    let access = match verify(token.as_bytes()) {
        Ok(access) => access,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(access.publish.len() + access.subscribe.len() <= TOKEN_SELECTORS_MAX);
    assert!(
        access.subscribe.is_sorted_by(|a, b| a < b),
        "sorted, without doubles"
    );
    for selector in access.publish.iter().chain(&*access.subscribe) {
        assert!((1..=TOKEN_TOPIC_BYTES_MAX).contains(&selector.text().len()));
    }
    for topic in &*access.topics {
        assert!(topic.is_exact(), "a claim became a pattern: {topic:?}");
        assert!(topic.text().starts_with("user/") || topic.text().starts_with("role/"));
        assert!(access.subscribe.contains(topic));
    }
    assert!(
        access
            .ends_unix_ms
            .is_none_or(|end| end > TOKEN_NOW * 1_000)
    );
    if let Some(payload) = access.payload {
        assert!(serde_json::from_str::<serde_json::Value>(&payload).is_ok());
    }
}

/// Bytes of a state's header before its checksum.
const STATE_HEADER_BYTES: usize = 16;

/// Bytes of a piece of a state: before its checksum, and before its payload.
const STATE_PIECE_BYTES: (usize, usize) = (12, 16);

/// A state is refused or read, also if only its records are wrong. What was read is written and
/// read again, and a desk that fits its streams ends them.
pub(crate) fn state(input: &[u8]) {
    adopt(input);
    adopt(&with_right_checksums(input));
}

fn adopt(bytes: &[u8]) {
    let records = StateReader::new(bytes).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let records = match records {
        Ok(records) => records,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let again = written(&records);
    let read = StateReader::new(&again).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let (mut desk, mut streams) = (Vec::new(), Vec::new());
    let mut revival = Revival::new(HistoryLimits::default(), HoldLimits::default());
    for record in read.expect("it was just written") {
        match record {
            StateRecord::Desk(record) => desk.push(record.without_shards()),
            StateRecord::Stream(record) => streams.push(record),
            StateRecord::History(record) => drop(revival.take(record)),
            _ => {}
        }
    }
    drop(revival.finish(Ending::Whole, 0));
    let places = Places::new(8, Share::default());
    let Ok(mut desk) = Desk::restore(DeskConfig::default(), places, || {}, desk) else {
        return;
    };
    if streams.iter().any(|stream| stream.check(&desk).is_err())
        || desk.check_streams(&streams).is_err()
    {
        return;
    }
    let mut released = Released::default();
    for stream in streams {
        let parked = stream.into_parked((), None, &desk).expect("checked");
        desk.reseat(0, parked.wanted());
        parked.give_up(&mut released, &Arc::clone(desk.places()));
    }
    while !desk.release(&mut released, &mut Work::default()) {}
    while !desk.expire(u64::MAX >> 21, 1_000) {}
    assert_eq!(desk.places().open(), 0);
}

/// The records as a state.
fn written(records: &[StateRecord]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    for record in records {
        match record {
            StateRecord::Node(record) => writer.node(record),
            StateRecord::Desk(record) => writer.desk(record),
            StateRecord::Stream(record) => writer.streams(std::slice::from_ref(record)),
            StateRecord::Counter(record) => writer.counter(&record.name, record.value),
            StateRecord::Listener(record) => writer.listener(record),
            StateRecord::Http(record) => writer.http(record),
            StateRecord::Resp(record) => writer.resp(record),
            StateRecord::History(record) => writer.history(record),
            StateRecord::KeySet(record) => writer.key_set(&record.url, &record.text),
        }
        .expect("memory");
    }
    writer.finish().expect("memory")
}

fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(header) = bytes.get(..STATE_HEADER_BYTES) else {
        return bytes;
    };
    let checksum = crc32fast::hash(header).to_le_bytes();
    let mut at = STATE_HEADER_BYTES + checksum.len();
    if at <= bytes.len() {
        bytes[STATE_HEADER_BYTES..at].copy_from_slice(&checksum);
    }
    let (head_bytes, payload) = STATE_PIECE_BYTES;
    while let Some(head) = bytes.get(at..at + payload) {
        let length = head[4..head_bytes]
            .first_chunk()
            .copied()
            .map(u64::from_le_bytes);
        let length = length.and_then(|length| usize::try_from(length).ok());
        let end = length.and_then(|length| length.checked_add(at + payload));
        let Some(end) = end.filter(|end| *end <= bytes.len()) else {
            break;
        };
        let checked = [&bytes[at..at + head_bytes], &bytes[at + payload..end]].concat();
        let checksum = crc32fast::hash(&checked).to_le_bytes();
        bytes[at + head_bytes..at + payload].copy_from_slice(&checksum);
        at = end;
    }
    bytes
}
