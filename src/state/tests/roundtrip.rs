//! Every record comes back as it was written, whatever its values.

use std::net::IpAddr;

use bytes::Bytes;
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::{read, sample};
use crate::core::delivery::{GuardRecord, Identity, LaggingRecord, PatternsRecord, StreamRecord};
use crate::core::desk::DeskRecord;
use crate::core::event::{Event, EventId, IdForm, OrderMark};
use crate::core::history::{
    EvictedRecord, HistoryEvent, HistoryHead, HistoryRecord, Hole, HoleCause, ListenersRecord,
    OrderRecord, Record, SelectorId, SelectorIds, ShardSet, SlowConsumerPolicy, Wanted,
};
use crate::core::idempotency::{Key, Remembered};
use crate::core::limits::EventLimits;
use crate::core::presence::{PresenceRecord, SubscriberRecord};
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::{Draft, Encoding, Frame};
use crate::state::{
    CounterRecord, HttpRecord, KeySetRecord, ListenerRecord, MutedReplies, NodeRecord, Port,
    RespRecord, RespUserRecord, StateRecord,
};

fn id() -> impl Strategy<Value = EventId> {
    any::<u64>().prop_map(EventId::new)
}

fn text() -> impl Strategy<Value = Box<str>> {
    any::<String>().prop_map(Into::into)
}

fn bytes() -> impl Strategy<Value = Box<[u8]>> {
    vec(any::<u8>(), 0..50).prop_map(Into::into)
}

fn evicted() -> impl Strategy<Value = EvictedRecord> {
    (id(), id()).prop_map(|(any, public)| EvictedRecord { any, public })
}

fn listeners() -> impl Strategy<Value = ListenersRecord> {
    (any::<u32>(), any::<u32>(), any::<u64>()).prop_map(|(some, others, shards)| ListenersRecord {
        subscribers: some.max(others),
        granted: some.min(others),
        shards: ShardSet::from_word(shards),
    })
}

fn ids() -> impl Strategy<Value = SelectorIds> {
    let ids = btree_set(any::<u32>(), 1..5);
    ids.prop_map(|ids| ids.into_iter().map(SelectorId).collect())
}

fn selector() -> impl Strategy<Value = Selector> {
    let text = prop_oneof![
        Just("*".to_owned()),
        "[a-z]{1,5}/\\*",
        "\\*\\*/[a-z]{1,5}",
        "[a-z]{1,5}/\\{[a-z]{1,3}\\}",
        "\\{\\+[a-z]{1,3}\\}",
        "\\PC{1,20}",
    ];
    let syntax = prop_oneof![Just(Syntax::Native), Just(Syntax::Mercure)];
    (text, syntax).prop_map(|(text, syntax)| Selector::parse(&text, syntax, 100).expect("short"))
}

fn pattern() -> impl Strategy<Value = Selector> {
    selector().prop_filter("a pattern", |selector| !selector.is_exact())
}

fn frame() -> impl Strategy<Value = Frame> {
    let form = prop_oneof![Just(IdForm::Native), Just(IdForm::Urn)];
    let event = (
        any::<String>(),
        "[^\r\n]{0,9}",
        of("[!-~]{1,9}"),
        of(0..9_999_u64),
        form,
    );
    (event, any::<bool>(), id()).prop_map(|((data, name, own_id, retry, id_form), private, id)| {
        let event = Event {
            event: Some(name.into()),
            id: own_id.map(Into::into),
            retry,
            private,
            id_form,
            ..Event::new("topic", data)
        };
        let draft = Draft::of_node(event, &EventLimits::default());
        draft.expect("valid").stamp(id.marked(OrderMark::new(7)))
    })
}

fn head() -> impl Strategy<Value = EventId> {
    id().prop_filter("room", |id| id.get() < u64::MAX - (1 << 32))
}

fn cause() -> impl Strategy<Value = HoleCause> {
    prop::sample::select(&HoleCause::ALL[..])
}

fn holes() -> impl Strategy<Value = Vec<Hole>> {
    vec(
        (id(), id(), cause()).prop_map(|(after, through, cause)| Hole {
            after,
            through,
            cause,
        }),
        0..3,
    )
}

fn keys() -> impl Strategy<Value = Vec<Remembered>> {
    let key = (any::<[u8; 16]>(), any::<[u8; 16]>());
    let key = key.prop_map(|(name, content)| Key { name, content });
    let entry = (key, id(), any::<u64>());
    let entry = entry.prop_map(|(key, id, subscribers)| Remembered {
        key,
        id,
        subscribers,
    });
    vec(entry, 1..4)
}

fn history() -> impl Strategy<Value = HistoryRecord> {
    let event = (id(), frame(), of("[!-~]{1,9}"), of(vec("\\PC{1,9}", 0..3)));
    let event = event.prop_map(|(id, frame, own_id, topics)| HistoryEvent {
        id,
        frame,
        own_id: own_id.map(Into::into),
        topics: topics.map(|names| names.into_iter().map(Into::into).collect()),
    });
    let ids = (id(), head(), any::<u64>(), evicted(), holes());
    let whole = ids.prop_map(|(birth, head, mark, forgotten, holes)| HistoryHead {
        birth,
        head,
        mark: OrderMark::new(mark),
        forgotten,
        holes,
    });
    prop_oneof![
        "\\PC{1,9}".prop_map(|name| HistoryRecord::Topic { name: name.into() }),
        event.prop_map(HistoryRecord::Event),
        (evicted(), any::<bool>()).prop_map(|(evicted, has_evicted)| HistoryRecord::TopicEnd {
            evicted,
            has_evicted,
        }),
        Just(HistoryRecord::TopicGone),
        whole.prop_map(HistoryRecord::Head),
        keys().prop_map(HistoryRecord::Keys),
    ]
}

fn order() -> impl Strategy<Value = OrderRecord> {
    let parts = (of(id()), vec((id(), id()), 0..3), of(id()));
    parts.prop_map(|(from, doubts, retracting)| OrderRecord {
        from,
        doubts,
        retracting,
    })
}

fn record() -> impl Strategy<Value = Record> {
    let slot = || 0..(1_u32 << 31);
    let matches = vec((any::<u32>(), any::<u32>()), 0..3);
    prop_oneof![
        (
            id(),
            head(),
            any::<u64>(),
            evicted(),
            evicted(),
            (any::<u32>(), holes(), order())
        )
            .prop_map(
                |(birth, head, mark, forgotten, evicted, (newest_pattern, holes, order))| {
                    Record::Head {
                        birth,
                        head,
                        mark: OrderMark::new(mark),
                        forgotten,
                        evicted,
                        newest_pattern,
                        holes,
                        order,
                    }
                }
            ),
        (
            slot(),
            "\\PC{1,9}",
            evicted(),
            any::<bool>(),
            listeners(),
            matches,
            any::<u32>()
        )
            .prop_map(
                |(slot, name, evicted, has_evicted, listeners, matches, matched_through)| {
                    Record::Topic {
                        slot,
                        name: name.into(),
                        evicted,
                        has_evicted,
                        listeners,
                        matches,
                        matched_through,
                    }
                }
            ),
        (id(), frame(), of("[!-~]{1,9}"), of(ids())).prop_map(|(id, frame, own_id, topics)| {
            Record::Event {
                id,
                frame,
                own_id: own_id.map(Into::into),
                topics,
            }
        }),
        (
            slot(),
            any::<u32>(),
            pattern(),
            listeners(),
            evicted(),
            evicted(),
            of(evicted())
        )
            .prop_map(
                |(slot, serial, selector, listeners, since, before, forgotten_before)| {
                    Record::Pattern {
                        slot,
                        serial,
                        selector,
                        listeners,
                        evicted_since: since,
                        evicted_before: before,
                        forgotten_before,
                    }
                }
            ),
        (ids(), any::<u32>()).prop_map(|(ids, streams)| Record::Grant { ids, streams }),
    ]
}

fn presence() -> impl Strategy<Value = PresenceRecord> {
    let number = || 0..(1_u64 << 63);
    let payload = of(any::<bool>().prop_map(|value| value.to_string()));
    let subscriber = (
        any::<u128>(),
        vec(selector(), 0..3),
        payload,
        any::<IpAddr>(),
        any::<bool>(),
    );
    let subscriber =
        subscriber.prop_map(
            |(id, selectors, payload, client, is_known)| SubscriberRecord {
                id,
                selectors: selectors.into(),
                payload: payload.map(Into::into),
                client,
                is_known,
            },
        );
    prop_oneof![
        (any::<u64>(), number()).prop_map(|(version, next_number)| PresenceRecord::Head {
            version,
            next_number
        }),
        (number(), of(any::<bool>()), subscriber).prop_map(|(number, change, subscriber)| {
            match change {
                None => PresenceRecord::Stream(number, subscriber),
                Some(active) => PresenceRecord::Change(number, active, subscriber),
            }
        }),
    ]
}

fn lagging() -> impl Strategy<Value = LaggingRecord> {
    let size = 0..=u32::MAX as usize;
    let flags = (any::<bool>(), any::<bool>());
    (bytes(), size, of(bytes()), id(), of(text()), flags).prop_map(
        |(remainder, frame_bytes, farewell, told_through, unknown, (resuming, conflate))| {
            LaggingRecord {
                remainder: Bytes::from(remainder),
                frame_bytes,
                farewell: farewell.map(Bytes::from),
                told_through,
                unknown,
                resuming,
                conflate,
            }
        },
    )
}

fn guard() -> impl Strategy<Value = GuardRecord> {
    let patterns = (any::<IpAddr>(), vec(pattern(), 0..3));
    let patterns = patterns.prop_map(|(client, patterns)| PatternsRecord {
        client,
        patterns: patterns.into(),
    });
    (of(any::<u64>()), of(patterns), 0..=u32::MAX as usize).prop_map(
        |(announced, patterns, memory_bytes)| GuardRecord {
            announced,
            patterns,
            memory_bytes,
        },
    )
}

fn stream() -> impl Strategy<Value = StreamRecord> {
    let policy = prop_oneof![
        Just(SlowConsumerPolicy::Disconnect),
        Just(SlowConsumerPolicy::Skip),
        Just(SlowConsumerPolicy::Latest),
    ];
    let wanted = (any::<u32>().prop_map(SelectorId), policy);
    let wanted = wanted.prop_map(|(selector, policy)| Wanted { selector, policy });
    let identity = (of(any::<String>()), of(any::<IpAddr>()));
    let wrapped = prop_oneof![Just(Encoding::CHUNKED), Just(Encoding::BARE)];
    let encoding = prop_oneof![
        wrapped.clone(),
        wrapped.clone().prop_map(Encoding::with_topics),
        wrapped.clone().prop_map(Encoding::with_heartbeat_events),
        wrapped.prop_map(|it| it.with_topics().with_heartbeat_events()),
    ];
    let who = (
        any::<u32>(),
        of(any::<IpAddr>()),
        encoding,
        identity,
        guard(),
    );
    let what = (
        vec(wanted, 1..4),
        of(ids()),
        of(any::<u64>()),
        id(),
        of(lagging()),
    );
    let figures = (any::<u64>(), any::<u64>(), any::<u64>());
    (who, what, figures).prop_map(|(who, what, (bytes, age_s, stuck_ms))| {
        let (descriptor, client, encoding, (subject, forwarded), guard) = who;
        let (wanted, grant, ends_unix_ms, cursor, lagging) = what;
        StreamRecord {
            descriptor,
            client,
            encoding,
            identity: Identity {
                subject: subject.map(Into::into),
                forwarded,
            },
            guard,
            wanted: wanted.into(),
            grant,
            ends_unix_ms,
            cursor,
            bytes,
            age_s,
            lagging,
            stuck_ms,
        }
    })
}

fn resp() -> impl Strategy<Value = RespRecord> {
    let user = (text(), bytes()).prop_map(|(name, proof)| RespUserRecord { name, proof });
    let muted = prop_oneof![
        Just(MutedReplies::None),
        Just(MutedReplies::All),
        Just(MutedReplies::Next),
    ];
    let names = (text(), text(), text(), bytes());
    let times = (
        any::<u64>(),
        any::<u64>(),
        of(any::<u64>()),
        of(any::<u64>()),
    );
    let choices = (any::<u32>(), any::<u64>(), of(user), any::<bool>(), muted);
    (choices, names, times).prop_map(|(choices, names, times)| {
        let (descriptor, id, user, resp3, muted) = choices;
        let (name, library, library_version, read_ahead) = names;
        let (age_ms, idle_ms, stranger_ms, unfinished_ms) = times;
        RespRecord {
            descriptor,
            id,
            user,
            resp3,
            muted,
            name,
            library,
            library_version,
            read_ahead,
            age_ms,
            idle_ms,
            stranger_ms,
            unfinished_ms,
        }
    })
}

fn any_record() -> impl Strategy<Value = StateRecord> {
    let port = || prop_oneof![Just(Port::Public), Just(Port::Admin), Just(Port::Ingest)];
    let numbers = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    prop_oneof![
        (
            text(),
            bytes(),
            numbers,
            of(any::<u32>()),
            of(any::<[u64; 2]>())
        )
            .prop_map(|(program, resp_proof_key, numbers, state_lock, of_log)| {
                let (written_unix_ms, started_unix_ms, resp_accepted, generation) = numbers;
                StateRecord::Node(NodeRecord {
                    program,
                    written_unix_ms,
                    started_unix_ms,
                    resp_accepted,
                    resp_proof_key,
                    generation,
                    state_lock,
                    roster: of_log.map(|[roster, _]| roster),
                    log_print: of_log.map(|[_, print]| print),
                })
            }),
        record().prop_map(|record| StateRecord::Desk(DeskRecord::Store(record))),
        presence().prop_map(|record| StateRecord::Desk(DeskRecord::Presence(record))),
        keys().prop_map(|keys| StateRecord::Desk(DeskRecord::Keys(keys))),
        stream().prop_map(StateRecord::Stream),
        (text(), any::<u64>())
            .prop_map(|(name, value)| StateRecord::Counter(CounterRecord { name, value })),
        (text(), bytes()).prop_map(|(url, text)| StateRecord::KeySet(KeySetRecord { url, text })),
        (port(), any::<u32>(), any::<IpAddr>(), any::<u16>()).prop_map(
            |(port, descriptor, address, number)| {
                let address = (address, number).into();
                StateRecord::Listener(ListenerRecord {
                    port,
                    descriptor,
                    address,
                })
            }
        ),
        (port(), any::<u32>(), bytes(), any::<bool>(), any::<u64>()).prop_map(
            |(port, descriptor, read_ahead, asked, waited_ms)| StateRecord::Http(HttpRecord {
                port,
                descriptor,
                read_ahead,
                asked,
                waited_ms,
            })
        ),
        resp().prop_map(StateRecord::Resp),
        history().prop_map(StateRecord::History),
    ]
}

proptest! {
    #[test]
    fn any_record_is_read_as_it_was_written(records in vec(any_record(), 0..6)) {
        let mut records = records;
        // Streams are written together.
        records.sort_by_key(|record| matches!(record, StateRecord::Stream(_)));
        prop_assert_eq!(read(&sample::written(&records)), Ok(records));
    }

    #[test]
    fn any_bytes_are_refused_or_read(input in vec(any::<u8>(), 0..200)) {
        prop_assert!(read(&input).is_err());
    }
}
