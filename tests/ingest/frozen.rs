use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use fantail::ingest::{IngestConfig, NamedUser};
use fantail::metrics::{IngestEnd, Source};
use fantail::settings::{IngestUser, Settings};

use crate::support::frozen::{BOTH, Ends, Freezing, Then};
use crate::support::{Client, Node, command, wait_for};

impl Node {
    fn open(&self) -> u64 {
        self.hub.node_metrics().ingest_connections.get()
    }

    fn kept_and_left(&mut self) -> (usize, usize) {
        self.frozen(|frozen| (frozen.connections.len(), frozen.left))
    }
}

fn many_events(settings: &mut Settings) {
    settings.history_events = 1_000_000;
}

#[test]
fn pipelined_publishers_get_one_reply_for_each_event_over_many_freezes() {
    let mut node = Node::with(many_events);
    let address = node.address;
    let stop = AtomicBool::new(false);
    let published = AtomicUsize::new(0);
    thread::scope(|scope| {
        for publisher in 0..4 {
            let (stop, published) = (&stop, &published);
            scope.spawn(move || {
                let batch = [1, 7, 100, 1_000][publisher];
                let commands = command(&["PUBLISH", "a", "xy"]).repeat(batch);
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    client.send(&commands);
                    let mut replies = vec![0; b":0\r\n".len() * batch];
                    client.stream.read_exact(&mut replies).expect("replies");
                    assert_eq!(replies, b":0\r\n".repeat(batch));
                    published.fetch_add(batch, Ordering::Relaxed);
                }
            });
        }
        let _ends = Ends(&stop);
        for freeze in 0..30 {
            let before = published.load(Ordering::Relaxed);
            node.freeze();
            let (_, left) = node.kept_and_left();
            assert_eq!(left, 0);
            node.go_on(BOTH[freeze % 2]);
            wait_for("publishers go on", || {
                published.load(Ordering::Relaxed) > before + 1_500
            });
        }
    });
    let events = &node.hub.node_metrics().events_in[Source::Ingest as usize];
    assert_eq!(events.get(), published.load(Ordering::Relaxed) as u64);
    assert_eq!(node.hub.node_metrics().ingest_carried.get(), 4 * 15);
}

#[test]
fn a_command_that_is_cut_at_any_byte_is_answered_once() {
    let commands = [
        [
            command(&["PUBLISH", "a", "x\r\ny"]),
            command(&["ECHO", "e"]),
        ]
        .concat(),
        b"PUBLISH a \"x y\"\r\nECHO e\r\n".to_vec(),
    ];
    for (commands, then) in [(&commands[0], BOTH[0]), (&commands[1], BOTH[1])]
        .into_iter()
        .chain([(&commands[0], BOTH[1]), (&commands[1], BOTH[0])])
    {
        let mut node = Node::with(many_events);
        let mut clients: Vec<_> = (0..commands.len())
            .map(|cut| (cut, Client::connect(node.address)))
            .collect();
        for (cut, client) in &mut clients {
            assert_eq!(client.call(&["PING"]), "+PONG\r\n");
            client.send(&commands[..*cut]);
        }
        node.freeze();
        assert_eq!(node.kept_and_left(), (clients.len(), 0));
        for (cut, client) in &mut clients {
            client.send(&commands[*cut..]);
        }
        node.go_on(then);
        for (cut, client) in &mut clients {
            let replies = client.read_until(b"$1\r\ne\r\n");
            let replies = String::from_utf8(replies).expect("UTF-8");
            assert_eq!(replies, ":0\r\n$1\r\ne\r\n", "{then:?}, cut at {cut}");
        }
        assert_eq!(node.hub.history_len("a"), clients.len());
    }
}

#[test]
fn what_a_client_chose_about_itself_is_as_before() {
    for then in BOTH {
        let mut node = Node::start();
        let mut client = Client::connect(node.address);
        client.send(b"HELLO 3\r\n");
        client.read_until(b"modules\r\n*0\r\n");
        client.check("CLIENT SETNAME me", "+OK\r\n");
        client.check("CLIENT SETINFO lib-name lib", "+OK\r\n");
        client.check("CLIENT SETINFO lib-ver 1.2", "+OK\r\n");
        let lasting = |info: &str| -> Vec<String> {
            let words = info.split_whitespace();
            let lasting = words.filter(|word| {
                let changes = ["age=", "idle=", "cmd=", "txt:", "="];
                !changes.iter().any(|name| word.starts_with(name))
            });
            lasting.map(str::to_owned).collect()
        };
        let before = lasting(&client.call(&["CLIENT", "INFO"]));
        assert!(before.contains(&"name=me".to_owned()), "{before:?}");
        assert!(before.contains(&"resp=3".to_owned()), "{before:?}");
        node.freeze_and(then);
        assert_eq!(
            lasting(&client.call(&["CLIENT", "INFO"])),
            before,
            "{then:?}"
        );
        // A map, which RESP2 has not.
        client.send(b"HELLO\r\n");
        assert!(
            client
                .read_until(b"modules\r\n*0\r\n")
                .starts_with(b"%7\r\n")
        );
    }
}

#[test]
fn muted_replies_stay_muted() {
    for then in BOTH {
        let mut node = Node::start();
        let mut off = Client::connect(node.address);
        let mut skip = Client::connect(node.address);
        assert_eq!(off.call(&["PING"]), "+PONG\r\n");
        assert_eq!(skip.call(&["PING"]), "+PONG\r\n");
        off.send(command(&["CLIENT", "REPLY", "OFF"]));
        off.send(command(&["PUBLISH", "a", "1"]));
        skip.send(command(&["CLIENT", "REPLY", "SKIP"]));
        wait_for("the commands are run", || {
            node.hub.node_metrics().ingest_commands.get() >= 7
        });
        node.freeze();
        off.send(command(&["PUBLISH", "a", "2"]));
        skip.send(command(&["ECHO", "not this"]));
        node.go_on(then);
        skip.check("ECHO this", "$4\r\nthis\r\n");
        off.send(command(&["CLIENT", "REPLY", "ON"]));
        assert_eq!(off.read_until(b"\r\n"), b"+OK\r\n");
        assert_eq!(node.hub.history_len("a"), 2);
    }
}

#[test]
fn a_transaction_is_finished_before_its_connection_is_carried() {
    for then in BOTH {
        let mut node = Node::start();
        let mut client = Client::connect(node.address);
        client.send(command(&["MULTI"]));
        client.read_until(b"+OK\r\n");
        thread::scope(|scope| {
            scope.spawn(|| {
                client.send(command(&["PUBLISH", "a", "x"]));
                client.send(command(&["EXEC"]));
                client.read_until(b"+QUEUED\r\n*1\r\n:0\r\n");
            });
            node.freeze();
        });
        assert_eq!(node.kept_and_left(), (1, 0));
        node.go_on(then);
        client.check("PING", "+PONG\r\n");
    }
}

#[test]
fn an_open_transaction_goes_on_at_a_thaw_and_ends_cleanly_at_a_hand_over() {
    let mut node = Node::start();
    let mut multi = Client::connect(node.address);
    let mut watch = Client::connect(node.address);
    multi.send(command(&["MULTI"]));
    multi.send(command(&["PUBLISH", "a", "x"]));
    multi.read_until(b"+OK\r\n+QUEUED\r\n");
    watch.check("WATCH a", "+OK\r\n");
    node.freeze();
    assert_eq!(node.kept_and_left(), (0, 2));
    node.thaw();
    multi.send(command(&["EXEC"]));
    multi.read_until(b"*1\r\n:0\r\n");
    watch.check("UNWATCH", "+OK\r\n");
    multi.send(command(&["MULTI"]));
    multi.read_until(b"+OK\r\n");
    node.freeze_and(Then::HandOver);
    assert_eq!(multi.read_to_end(), "");
    wait_for("it is counted", || {
        node.hub.node_metrics().ingest_left.get() == 1
    });
    watch.check("PING", "+PONG\r\n");
}

#[test]
fn the_number_of_a_client_never_comes_again() {
    let mut node = Node::start();
    let mut first = Client::connect(node.address);
    assert_eq!(first.call(&["CLIENT", "ID"]), ":1\r\n");
    let mut second = Client::connect(node.address);
    assert_eq!(second.call(&["CLIENT", "ID"]), ":2\r\n");
    drop(second);
    wait_for("it is gone", || node.open() == 1);
    for (id, then) in [(3, Then::HandOver), (4, Then::Thaw), (5, Then::HandOver)] {
        node.freeze_and(then);
        assert_eq!(first.call(&["CLIENT", "ID"]), ":1\r\n");
        let mut next = Client::connect(node.address);
        assert_eq!(next.call(&["CLIENT", "ID"]), format!(":{id}\r\n"));
    }
}

#[test]
fn a_carried_user_has_its_rights_of_now_and_none_with_another_password() {
    let users = |settings: &mut Settings| {
        settings.ingest_password = Some("secret".into());
        let user = |name: &str| IngestUser {
            name: name.to_owned(),
            password: "pw".into(),
            publish: vec!["a*".parse().expect("a glob")],
        };
        settings.ingest_users = ["bob", "eve", "tim"].map(user).into();
    };
    let mut node = Node::with(users);
    let log_in = |words: &[&str]| {
        let mut client = Client::connect(node.address);
        assert_eq!(client.call(words), "+OK\r\n");
        client
    };
    let mut default = log_in(&["AUTH", "secret"]);
    let mut bob = log_in(&["AUTH", "bob", "pw"]);
    let mut eve = log_in(&["AUTH", "eve", "pw"]);
    let mut tim = log_in(&["AUTH", "tim", "pw"]);
    let mut stranger = Client::connect(node.address);
    stranger.send(command(&["PUBLISH", "a", "x"]));
    assert!(stranger.read_until(b"\r\n").starts_with(b"-NOAUTH"));
    node.freeze();
    let state = node.frozen(|frozen| format!("{frozen:?}"));
    assert!(
        !state.contains("secret") && !state.contains("pw"),
        "{state}"
    );
    node.hand_over_with(|config: &mut IngestConfig| {
        let change = |user: &NamedUser| match user.name.as_str() {
            "bob" => Some(NamedUser {
                publish: vec!["b*".parse().expect("a glob")],
                ..user.clone()
            }),
            "eve" => Some(NamedUser {
                password: "new".into(),
                ..user.clone()
            }),
            _ => None,
        };
        config.users = config.users.iter().filter_map(change).collect();
    });
    assert_eq!(default.call(&["PUBLISH", "x", "x"]), ":0\r\n");
    assert_eq!(bob.call(&["PUBLISH", "b", "x"]), ":0\r\n");
    assert!(bob.call(&["PUBLISH", "a", "x"]).contains("NOPERM"));
    assert_eq!(eve.read_to_end(), "");
    assert_eq!(tim.read_to_end(), "");
    let ended = &node.hub.node_metrics().ingest_ended[IngestEnd::UserChanged as usize];
    assert_eq!(ended.get(), 2);
    stranger.send(command(&["PUBLISH", "a", "x"]));
    assert!(stranger.read_until(b"\r\n").starts_with(b"-NOAUTH"));
    assert_eq!(stranger.call(&["AUTH", "eve", "new"]), "+OK\r\n");
}

#[test]
fn clients_that_connect_in_a_freeze_wait_and_are_served() {
    for then in BOTH {
        let mut node = Node::start();
        node.freeze();
        let mut clients: Vec<_> = (0..50).map(|_| Client::connect(node.address)).collect();
        for client in &mut clients {
            client.send(command(&["PUBLISH", "a", "x"]));
        }
        assert_eq!(node.open(), 0, "they wait in the kernel");
        node.go_on(then);
        for client in &mut clients {
            assert_eq!(client.read_until(b"\r\n"), b":0\r\n", "{then:?}");
        }
    }
}

#[test]
fn idle_clients_beyond_a_lowered_bound_are_carried_and_leave_nothing_behind() {
    let mut node = Node::start();
    let mut clients: Vec<_> = (0..500).map(|_| Client::connect(node.address)).collect();
    for client in &mut clients {
        assert_eq!(client.call(&["PING"]), "+PONG\r\n");
    }
    for _ in 0..3 {
        node.freeze_and(Then::Thaw);
        node.freeze();
        assert_eq!(node.kept_and_left(), (500, 0));
        node.hand_over_with(|config| config.connections_max = 10);
    }
    for client in &mut clients {
        assert_eq!(client.call(&["PING"]), "+PONG\r\n");
    }
    let mut refused = Client::connect(node.address);
    assert!(refused.read_to_end().contains("max number of clients"));
    drop(clients);
    wait_for("all are gone", || node.open() == 0);
    let mut client = Client::connect(node.address);
    assert_eq!(client.call(&["CLIENT", "LIST"]).matches("id=").count(), 1);
}
