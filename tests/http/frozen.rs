use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use fantail::metrics::Source;

use crate::node::{Node, SHORT};
use crate::support::frozen::{BOTH, Ends, Freezing, Then};
use crate::support::http::Connection;
use crate::support::{DEADLINE, wait_until};

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy";

impl Node {
    fn connections(&self) -> u64 {
        self.hub.node_metrics().http.connections.get()
    }
}

fn many_events() -> Node {
    Node::with(|settings| settings.history_events = 1_000_000)
}

/// Sockets of this machine whose own end is `address`, and that are connected or closed by the other
/// side only.
fn sockets_at(address: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let ip = u32::from_ne_bytes(Ipv4Addr::LOCALHOST.octets());
    let own = format!("{ip:08X}:{:04X}", address.port());
    let peers = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let is_ours = words.next() == Some(own.as_str());
        let peer = words.next().filter(|_| is_ours)?;
        // ESTABLISHED and CLOSE_WAIT.
        matches!(words.next(), Some("01" | "08")).then_some(peer)
    });
    // The table is read in pieces while it changes, so a line may come twice.
    peers.collect::<BTreeSet<_>>().len()
}

fn wait_for_sockets(node: &Node, count: usize) {
    wait_until("every socket is there, and no other", || {
        sockets_at(node.address) == count
    });
}

#[test]
fn publishers_in_a_tight_loop_get_one_answer_for_each_event_over_many_freezes() {
    let mut node = many_events();
    let address = node.address;
    let stop = AtomicBool::new(false);
    let published = AtomicUsize::new(0);
    thread::scope(|scope| {
        for publisher in 0..4 {
            let (stop, published) = (&stop, &published);
            scope.spawn(move || {
                // One request at a time, or several behind each other.
                let batch = 1 + 7 * (publisher % 2);
                let mut connection = Connection::open(address);
                while !stop.load(Ordering::Relaxed) {
                    connection.send(&POST.repeat(batch));
                    for _ in 0..batch {
                        let answer = connection.response("POST");
                        assert_eq!(answer.status, 200, "{answer:?}");
                        assert_eq!(answer.head.field("connection"), None);
                        published.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let _ends = Ends(&stop);
        // One that is not accepted yet would not be carried.
        node.wait_for_connections(4);
        for freeze in 0..30 {
            let before = published.load(Ordering::Relaxed);
            node.freeze_and(BOTH[freeze % 2]);
            assert_eq!(node.hub.node_metrics().http.left.get(), 0);
            wait_until("publishers go on", || {
                published.load(Ordering::Relaxed) > before + 20
            });
        }
    });
    let events = &node.hub.node_metrics().events_in[Source::Http as usize];
    assert_eq!(events.get(), published.load(Ordering::Relaxed) as u64);
    assert_eq!(node.hub.node_metrics().http.carried.get(), 4 * 15);
    assert_eq!(node.hub.node_metrics().http.accepted.get(), 4);
}

#[test]
fn a_request_that_is_cut_at_any_byte_is_answered_once() {
    for then in BOTH {
        let mut node = many_events();
        let mut clients: Vec<_> = (1..POST.len()).map(|cut| (cut, node.connect())).collect();
        for (cut, client) in &mut clients {
            // Every other connection has had a request before.
            if *cut % 2 == 0 {
                client.send(GET);
                assert_eq!(client.response("GET").status, 200);
            }
            client.send(&POST[..*cut]);
        }
        let count = clients.len();
        node.wait_for_connections(count as u64);
        // A body that has begun is waited for.
        let head = POST.len() - 2;
        let (mut heads, mut bodies): (Vec<_>, Vec<_>) =
            clients.into_iter().partition(|(cut, _)| *cut < head);
        thread::scope(|scope| {
            scope.spawn(|| {
                for (cut, client) in &mut bodies {
                    client.send(&POST[*cut..]);
                }
            });
            node.freeze();
        });
        let (kept, left) = node.frozen(|frozen| (frozen.connections.len(), frozen.left));
        assert_eq!((kept, left), (count, 0), "{then:?}");
        for (cut, client) in &mut heads {
            client.send(&POST[*cut..]);
            client.send(GET);
        }
        node.go_on(then);
        for (cut, client) in &mut heads {
            let answer = client.response("POST");
            assert_eq!(answer.status, 200, "{then:?}, cut at {cut}: {answer:?}");
            assert_eq!(client.response("GET").status, 200, "{then:?}, cut at {cut}");
        }
        for (cut, client) in &mut bodies {
            let answer = client.response("POST");
            assert_eq!(answer.status, 200, "{then:?}, cut at {cut}: {answer:?}");
            client.send(GET);
            assert_eq!(client.response("GET").status, 200, "{then:?}, cut at {cut}");
        }
        assert_eq!(node.hub.history_len("a"), count);
    }
}

#[test]
fn a_head_that_arrives_byte_by_byte_over_a_freeze_at_each_byte_is_one_request() {
    let mut node = many_events();
    let mut client = node.connect();
    client.send(GET);
    assert_eq!(client.response("GET").status, 200);
    for (at, byte) in POST.iter().enumerate() {
        client.send(&[*byte]);
        // In the body the request is in hand, and a freeze would wait for its rest.
        if at < POST.len() - 3 {
            node.freeze_and(BOTH[at % 2]);
        }
    }
    assert_eq!(client.response("POST").status, 200);
    assert_eq!(node.hub.history_len("a"), 1);
    assert_eq!(node.connections(), 1);
}

#[test]
fn a_thousand_idle_connections_go_on_and_leave_no_descriptor_behind() {
    let mut node = many_events();
    let mut clients: Vec<_> = (0..1_000).map(|_| node.connect()).collect();
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.response("GET").status, 200);
    }
    wait_for_sockets(&node, 1_000);
    for freeze in 0..6 {
        node.freeze();
        assert_eq!(node.frozen(|frozen| frozen.connections.len()), 1_000);
        assert_eq!(node.connections(), 1_000, "they keep their places");
        node.go_on(BOTH[freeze % 2]);
        node.wait_for_connections(1_000);
        wait_for_sockets(&node, 1_000);
    }
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.response("GET").status, 200);
    }
    drop(clients);
    node.wait_for_connections(0);
    wait_for_sockets(&node, 0);
}

#[test]
fn clients_that_connect_in_a_freeze_wait_and_are_served() {
    for then in BOTH {
        let mut node = many_events();
        node.freeze();
        let mut clients: Vec<_> = (0..50).map(|_| node.connect()).collect();
        for client in &mut clients {
            client.send(POST);
        }
        assert_eq!(node.connections(), 0, "they wait in the kernel");
        node.go_on(then);
        for client in &mut clients {
            assert_eq!(client.response("POST").status, 200, "{then:?}");
        }
        assert_eq!(node.hub.history_len("a"), 50);
    }
}

#[test]
fn a_client_that_never_stops_asking_is_carried() {
    let mut node = many_events();
    let mut reader = node.connect();
    let mut writer = reader.socket().try_clone().expect("a socket");
    writer.set_write_timeout(Some(DEADLINE)).expect("a socket");
    let stop = AtomicBool::new(false);
    let answered = AtomicUsize::new(0);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                if sent < answered.load(Ordering::Relaxed) + 5_000 {
                    writer.write_all(&GET.repeat(100)).expect("open");
                    sent += 100;
                } else {
                    thread::yield_now();
                }
            }
            writer.shutdown(Shutdown::Write).expect("open");
            sent
        });
        scope.spawn(|| {
            while !reader.at_end() {
                assert_eq!(reader.response("GET").status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let ends = Ends(&stop);
        let wait_for_500_more = || {
            let before = answered.load(Ordering::Relaxed);
            wait_until("it is answered", || {
                answered.load(Ordering::Relaxed) > before + 500
            });
        };
        for freeze in 0..10 {
            wait_for_500_more();
            node.freeze();
            let kept = node.frozen(|frozen| (frozen.connections.len(), frozen.left));
            assert_eq!(kept, (1, 0));
            node.go_on(BOTH[freeze % 2]);
        }
        drop(ends);
        let sent = sender.join().expect("no panic");
        wait_until("every request is answered", || {
            answered.load(Ordering::Relaxed) == sent
        });
    });
}

#[test]
fn a_request_in_hand_is_answered_before_its_connection_is_carried() {
    for then in BOTH {
        let mut node = many_events();
        let mut client = node.connect();
        client.send(&POST[..POST.len() - 1]);
        node.wait_for_connections(1);
        thread::scope(|scope| {
            scope.spawn(|| {
                client.send(&POST[POST.len() - 1..]);
                let answer = client.response("POST");
                assert_eq!(answer.status, 200, "in the freeze");
                assert_eq!(answer.head.field("connection"), None);
            });
            node.freeze();
        });
        assert_eq!(node.frozen(|frozen| frozen.connections.len()), 1);
        client.send(GET);
        node.go_on(then);
        assert_eq!(client.response("GET").status, 200, "{then:?}");
    }
}

#[test]
fn a_request_that_outlasts_the_freeze_goes_on_at_a_thaw_and_is_counted_at_a_hand_over() {
    let mut node = many_events();
    let mut slow = node.connect();
    slow.send(&POST[..POST.len() - 1]);
    node.wait_for_connections(1);
    node.freeze();
    let kept = node.frozen(|frozen| (frozen.connections.len(), frozen.left));
    assert_eq!(kept, (0, 1));
    node.thaw();
    slow.send(&POST[POST.len() - 1..]);
    assert_eq!(slow.response("POST").status, 200);
    slow.send(
        b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    let mut interim = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    slow.socket()
        .read_exact(&mut interim)
        .expect("it has begun");
    node.freeze();
    node.hand_over();
    wait_until("it is counted", || {
        node.hub.node_metrics().http.left.get() == 1
    });
    // The listener that was released finishes it and closes.
    slow.send(b"xy");
    let answer = slow.response("POST");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.head.field("connection"), Some("close"));
    assert!(slow.at_end());
}

#[test]
fn a_freeze_does_not_wait_for_a_client_that_is_still_sending_behind_its_answer() {
    let mut node = Node::start();
    let mut client = node.connect();
    client.send(b"POST /publish/a HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\nx");
    assert_eq!(client.response("POST").status, 413);
    node.freeze();
    let kept = node.frozen(|frozen| (frozen.connections.len(), frozen.left));
    assert_eq!(kept, (0, 0));
}

#[test]
fn an_idle_connection_that_was_carried_has_its_idle_time_and_a_begun_head_its_own() {
    let mut node = Node::with(|settings| {
        settings.header_timeout = SHORT;
        settings.idle_timeout = Duration::from_secs(600);
    });
    let mut idle = node.connect();
    idle.send(GET);
    assert_eq!(idle.response("GET").status, 200);
    let mut begun = node.connect();
    begun.send(&GET[..9]);
    node.wait_for_connections(2);
    node.freeze_and(Then::HandOver);
    assert_eq!(begun.response("GET").status, 408);
    assert!(begun.at_end());
    // Another one's whole time has passed since.
    let mut begun = node.connect();
    begun.send(&GET[..9]);
    assert_eq!(begun.response("GET").status, 408);
    idle.send(GET);
    assert_eq!(
        idle.response("GET").status,
        200,
        "it is not held to a head's time"
    );
}

#[test]
fn a_carried_connection_becomes_a_stream_as_any_other() {
    let mut node = many_events();
    let mut client = node.connect();
    client.send(GET);
    assert_eq!(client.response("GET").status, 200);
    client.send(b"GET /events/a HTTP/1.1\r\nHo");
    node.freeze_and(Then::HandOver);
    client.send(b"st: a\r\n\r\n");
    assert_eq!(client.head().status, 200);
    node.wait_for_streams(1);
    node.publish("a", "x");
    wait_until("the event has come", || {
        client
            .chunk()
            .is_some_and(|chunk| chunk.windows(7).any(|part| part == b"data: x"))
    });
    node.wait_for_connections(0);
}

#[test]
fn a_client_that_left_in_the_freeze_is_forgotten() {
    for then in BOTH {
        let mut node = many_events();
        let mut client = node.connect();
        client.send(GET);
        assert_eq!(client.response("GET").status, 200);
        let half = node.connect();
        half.socket().shutdown(Shutdown::Write).expect("open");
        node.wait_for_connections(1);
        node.freeze();
        drop((client, half));
        node.go_on(then);
        node.wait_for_connections(0);
        wait_for_sockets(&node, 0);
    }
}

#[test]
fn a_frozen_listener_that_stops_closes_what_it_kept() {
    let mut node = Node::start();
    let mut client = node.connect();
    client.send(GET);
    assert_eq!(client.response("GET").status, 200);
    node.freeze();
    node.stop();
    assert!(client.at_end());
    node.wait_served();
    wait_until("the listener is closed", || {
        TcpStream::connect(node.address).is_err()
    });
}
