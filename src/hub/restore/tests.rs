//! A hub that continues another one, in the same process.

use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;
use crate::core::history::{Record, RestoreError as DeskError};
use crate::core::selector::{Selector, Syntax};
use crate::core::sse::Encoding;
use crate::hub::{Frozen, Interest, Start, Subscribe};
use crate::state::{Reader, StateRecord, Writer};

const DEADLINE: Duration = Duration::from_secs(20);

fn start() -> Hub {
    Hub::start(HubConfig::default(), 1_000).expect("a hub")
}

/// The two ends of a connection.
fn connection() -> (OwnedFd, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("a client");
    let (server, _) = listener.accept().expect("a connection");
    server.set_nonblocking(true).expect("a socket");
    (server.into(), client)
}

fn parse(selectors: impl IntoIterator<Item = String>) -> Vec<Selector> {
    let parse = |text: String| Selector::parse(&text, Syntax::Native, 100).expect("a selector");
    let mut selectors: Vec<_> = selectors.into_iter().map(parse).collect();
    selectors.sort_unstable();
    selectors
}

/// Opens a stream; its client.
async fn open(hub: &Hub, selector: &str, grant: Vec<Selector>) -> TcpStream {
    let (server, client) = connection();
    let subscribe = Subscribe {
        wire: Incoming::Socket(server),
        encoding: Encoding::BARE,
        head: Bytes::new(),
        interest: Interest {
            selectors: parse([selector.to_owned()]),
            grant: grant.into(),
            ..Interest::default()
        },
        start: Start::default(),
    };
    let place = hub.reserve(IpAddr::V4(Ipv4Addr::LOCALHOST)).expect("room");
    hub.subscribe(place, subscribe).await.expect("open");
    client
}

/// The state of a frozen hub: the records of its desk and of its streams.
fn state(frozen: &Frozen) -> (Vec<DeskRecord>, Vec<StreamRecord>) {
    let mut writer = Writer::new(Vec::new()).expect("memory");
    frozen.write(&mut writer, |_| {}).expect("memory");
    let bytes = writer.finish().expect("memory");
    let (mut desk, mut streams) = (Vec::new(), Vec::new());
    for record in Reader::new(&bytes).expect("a state") {
        match record.expect("a record") {
            StateRecord::Desk(record) => desk.push(record),
            StateRecord::Stream(record) => streams.push(record),
            other => panic!("{other:?}"),
        }
    }
    (desk, streams)
}

fn restore(desk: Vec<DeskRecord>, streams: Vec<StreamRecord>) -> Result<Hub, RestoreError> {
    let hub = Hub::start_from(HubConfig::default(), 1_000, desk, &Totals::default())?;
    let count = streams.len();
    let streams = streams.into_iter().map(|record| (record, connection().0));
    let seating = hub.restore_streams(streams)?;
    assert_eq!(seating.len(), count);
    Ok(hub)
}

/// A change of a state's records.
type Change = fn(&mut Vec<DeskRecord>, &mut Vec<StreamRecord>);

/// Nothing compared the streams with the counts, so the end of a stream could count below zero.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_the_desk_does_not_count_were_adopted() {
    let hub = start();
    let _clients = [
        open(&hub, "a", parse(["a".to_owned()])).await,
        open(&hub, "b/*", Vec::new()).await,
    ];
    let frozen = hub.freeze().await.expect("open");
    let (desk, streams) = state(&frozen);
    drop(restore(desk.clone(), streams.clone()).expect("the streams of the desk"));
    let refusal = |change: Change| {
        let (mut desk, mut streams) = (desk.clone(), streams.clone());
        change(&mut desk, &mut streams);
        restore(desk, streams).map(drop).expect_err("a wrong state")
    };
    let wrong: [(&str, Change); 5] = [
        ("missing", |_, streams| drop(streams.pop())),
        ("twice", |_, streams| streams.extend_from_within(..1)),
        ("of another topic", |_, streams| {
            streams[1].wanted = streams[0].wanted.clone();
        }),
        ("without its grant", |_, streams| {
            streams.iter_mut().for_each(|stream| stream.grant = None);
        }),
        ("counted once too often", |desk, _| {
            for record in desk {
                if let DeskRecord::Store(Record::Topic { listeners, .. }) = record {
                    listeners.subscribers += 1;
                }
            }
        }),
    ];
    for (what, change) in wrong {
        let refused = refusal(change);
        let counts = matches!(refused, RestoreError::Desk(DeskError::Counts));
        assert!(counts, "{what}: {refused}");
    }
    // The fault of one stream is said as such.
    let unknown = refusal(|desk, _| {
        desk.retain(|record| !matches!(record, DeskRecord::Store(Record::Pattern { .. })));
    });
    let by_pattern = streams.iter().position(|stream| stream.grant.is_none());
    let is_said = matches!(
        unknown,
        RestoreError::Stream { number, source: StreamRestoreError::UnknownTopic } if Some(number) == by_pattern
    );
    assert!(is_said, "{unknown}");
    frozen.thaw().await;
    hub.stop();
}

/// A subscription that waits has pinned its topics and patterns and has a share of its grant, but
/// ends with its process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_waits_at_a_freeze_leaves_nothing_in_the_next_process() {
    let hub = start();
    let both = |number| [format!("{number}"), format!("{number}/*")];
    let grant = |name: &str| {
        let all = (0..150).flat_map(both);
        parse(all.map(|text| format!("{name}/{text}")))
    };
    let _client = open(&hub, "a", grant("shared")).await;
    let frozen = hub.freeze().await.expect("open");
    let waiting = ["shared", "other"].map(|name| {
        let (hub, grant) = (hub.clone(), grant(name));
        tokio::spawn(async move { open(&hub, "a", grant).await })
    });
    let end = Instant::now() + DEADLINE;
    while hub.0.gate.waiting() < waiting.len() {
        assert!(Instant::now() < end, "they do not wait");
        tokio::task::yield_now().await;
    }
    let (desk, streams) = state(&frozen);
    let next = restore(desk, streams).expect("one stream");
    let size = next.history_size();
    assert_eq!((size.topics, size.patterns), (151, 150));
    frozen.thaw().await;
    for waiting in waiting {
        waiting.await.expect("opened");
    }
    hub.stop();
}
