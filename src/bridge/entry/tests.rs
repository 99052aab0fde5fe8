use proptest::prelude::*;

use super::*;

fn id() -> EventId {
    EventId::from_parts(1_700_000_000_000, 7).expect("it fits")
}

fn read_pairs(pairs: &[(&str, &[u8])]) -> Read {
    read(
        id(),
        pairs.iter().map(|(name, value)| (name.as_bytes(), *value)),
    )
}

fn read_text(pairs: &[(&str, &str)]) -> Read {
    let pairs = pairs.iter();
    read(
        id(),
        pairs.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    )
}

fn read_fields(fields: &Fields) -> Read {
    let pairs = fields.iter();
    read(
        id(),
        pairs.map(|(name, value)| (name.as_bytes(), &value[..])),
    )
}

fn event(pairs: &[(&str, &str)]) -> Record {
    match read_text(pairs).content.item {
        Item::Event(record) => record,
        other => panic!("{pairs:?} is {other:?}"),
    }
}

fn reason(pairs: &[(&str, &[u8])]) -> String {
    match read_pairs(pairs).content.item {
        Item::Unreadable(reason) => reason,
        other => panic!("{pairs:?} is {other:?}"),
    }
}

#[test]
fn what_an_application_writes_is_an_event() {
    let plain = Record {
        topics: vec!["a".into()],
        ..Record::default()
    };
    assert_eq!(event(&[("topic", "a")]), plain);
    assert_eq!(event(&[("topic", "a"), ("colour", "red")]), plain);
    let full = event(&[
        ("data", "x\ny"),
        ("topic", "b"),
        ("retry", "5"),
        ("private", "1"),
        ("event", "e"),
        ("id", "own"),
        ("topic", "a"),
        ("key", "k"),
    ]);
    assert_eq!(
        full,
        Record {
            topics: vec!["b".into(), "a".into()],
            data: "x\ny".to_owned(),
            event: Some("e".to_owned()),
            id: Some("own".to_owned()),
            retry: Some(5),
            private: true,
            key: Some(RecordKey::Text("k".to_owned())),
            ..Record::default()
        }
    );
    // The hub knows its limits.
    let large = "x".repeat(300 << 10);
    assert_eq!(
        event(&[("topic", "a"), ("data", &large)]).data.len(),
        300 << 10
    );
}

#[test]
fn garbage_is_named_and_is_no_panic() {
    let large = vec![b'x'; 300];
    for (pairs, part) in [
        (&[][..], "`topic`"),
        (&[("data", b"x" as &[u8])], "`topic`"),
        (&[("topic", b"\xff")], "`topic` is not valid UTF-8"),
        (
            &[("topic", b"a"), ("data", b"\xff")],
            "`data` is not valid UTF-8",
        ),
        (
            &[("topic", b"a"), ("data", b"x"), ("data", b"y")],
            "`data` is there twice",
        ),
        (&[("topic", b"a"), ("retry", b"-1")], "`retry`"),
        (&[("topic", b"a"), ("retry", b"")], "`retry`"),
        (
            &[("topic", b"a"), ("retry", b"99999999999999999999")],
            "`retry`",
        ),
        (&[("topic", b"a"), ("private", b"yes")], "`private`"),
        (&[("topic", b"a"), ("k", b"12")], "`k`"),
        (&[("fantail", b"birth")], "UUID"),
        (&[("fantail", b"birth"), ("id", b"x")], "UUID"),
        (&[("fantail", b"fork")], "`after`"),
        (
            &[("fantail", b"fork"), ("after", b"5-0"), ("through", b"5-0")],
            "rising",
        ),
        (&[("fantail", b"erase")], "`topic`"),
        (&[("fantail", &large[..])], "not known"),
    ] {
        let reason = reason(pairs);
        assert!(reason.contains(part) && reason.len() < 100, "{reason}");
    }
}

#[test]
fn an_entry_beyond_all_bounds_is_told_by_its_topics() {
    let large = vec![b'x'; FIELD_BYTES_MAX + 1];
    let read = read_pairs(&[("topic", b"a"), ("data", &large), ("topic", b"b")]);
    match read.content.item {
        Item::TooLarge { topics } => assert_eq!(topics.concat(), "ab"),
        other => panic!("{other:?}"),
    }
    let many = vec![("topic", b"a" as &[u8]); TOPICS_MAX + 1];
    assert!(reason(&many).contains("topics"));
}

#[test]
fn markers_and_erasures_come_back_as_they_were_written() {
    for marker in [
        Marker::Birth(u128::MAX - 7),
        Marker::Tick,
        Marker::Term { server: 7 },
        Marker::Fork {
            after: EventId::new(1 << 30),
            through: EventId::new(1 << 31),
        },
    ] {
        let read = read_fields(&of_marker(marker));
        assert_eq!(read.marker, Some(marker));
        assert!(matches!(read.content.item, Item::Pass), "{marker:?}");
    }
    let token = Token { node: 7, number: 9 };
    let read = read_fields(&of_erase("a topic", token));
    assert_eq!((read.marker, read.content.token), (None, Some(token)));
    assert!(matches!(read.content.item, Item::Erase(topic) if *topic == *"a topic"));
}

#[test]
fn the_print_is_that_of_this_entry_alone() {
    let print = |pairs: &[(&str, &str)]| read_text(pairs).print;
    let first = print(&[("topic", "a"), ("data", "b")]);
    assert_eq!(first, print(&[("topic", "a"), ("data", "b")]));
    for other in [
        &[("topic", "a"), ("data", "c")][..],
        &[("topic", "ab"), ("data", "")],
        &[("data", "b"), ("topic", "a")],
        &[("topic", "a"), ("data", "b"), ("more", "")],
        &[("topic", "a")],
    ] {
        assert_ne!(first, print(other), "{other:?}");
    }
    let pairs = [(b"topic" as &[u8], b"a" as &[u8]), (b"data", b"b")];
    assert_ne!(first, read(id().after(), pairs.into_iter()).print);
}

#[test]
fn a_foreign_token_is_no_fault() {
    for text in [
        "",
        ".",
        "1",
        "x.1",
        "1.x",
        "+1.1",
        "-1.1",
        "1.1.1",
        "11111111111111111.1",
    ] {
        let read = read_text(&[("topic", "a"), ("t", text)]);
        assert_eq!(read.content.token, None, "{text}");
        assert!(matches!(read.content.item, Item::Event(_)), "{text}");
    }
}

prop_compose! {
    fn records()(
        topics in proptest::collection::vec(".{0,8}", 1..4),
        data in ".{0,40}",
        event in proptest::option::of(".{0,8}"),
        own in proptest::option::of(".{0,8}"),
        retry: Option<u64>,
        private: bool,
        is_of_node: bool,
        urn: bool,
        digests: Option<([u8; 16], [u8; 16])>,
    ) -> Record {
        Record {
            topics: topics.into_iter().map(Into::into).collect(),
            data,
            event,
            id: own,
            retry,
            private,
            is_of_node,
            form: if urn { IdForm::Urn } else { IdForm::Native },
            key: digests.map(|(name, content)| RecordKey::Digests(Key { name, content })),
        }
    }
}

proptest! {
    #[test]
    fn a_record_comes_back_as_it_was_written(record in records(), node: u64, number: u64) {
        let token = Token { node, number };
        let fields = of_record(record.clone(), token);
        let read = read_fields(&fields);
        let bytes = fields.iter().map(|(name, value)| name.len() + value.len());
        prop_assert_eq!(read.content.bytes, bytes.sum::<usize>());
        prop_assert_eq!(read.content.token, Some(token));
        prop_assert_eq!(read.marker, None);
        match read.content.item {
            Item::Event(back) => prop_assert_eq!(back, record),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn any_fields_are_read_without_a_panic(
        fields in proptest::collection::vec(
            (0..NAMES.len() + 1, proptest::collection::vec(any::<u8>(), 0..12)),
            0..8,
        ),
        words in proptest::collection::vec(0..12_usize, 8),
    ) {
        let known = ["1", "0", "tick", "fork", "birth", "erase", "5-0", "7-0", "a"];
        let pairs = fields.iter().zip(words).map(|((name, bytes), word)| {
            let name = NAMES.get(*name).unwrap_or(&"other");
            let value = known.get(word).map_or(&bytes[..], |word| word.as_bytes());
            (name.as_bytes(), value)
        });
        let pairs: Vec<_> = pairs.collect();
        let first = read(id(), pairs.iter().copied());
        prop_assert_eq!(first.print, read(id(), pairs.into_iter()).print);
    }
}
