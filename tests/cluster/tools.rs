//! The servers and the proxy of the tests do what the tests rely on.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::proxy::Proxy;
use crate::server::{Keeps, Sentinels, Server, connection};
use crate::support::wait_until;

fn value(server: &Server) -> Option<String> {
    server.ask(&["GET", "key"])
}

#[test]
fn a_server_that_is_killed_keeps_what_it_was_told_to_keep() {
    for (keeps, kept) in [
        (Keeps::Always, Some("1".to_owned())),
        (Keeps::Nothing, None),
    ] {
        let mut server = Server::start(keeps, &[]);
        server.ask::<()>(&["SET", "key", "1"]);
        let address = server.address();
        server.kill();
        assert!(connection(address).is_err());
        server.restart();
        assert_eq!(value(&server), kept, "{keeps:?}");
    }
}

#[test]
fn a_server_that_is_stopped_answers_later() {
    let server = Server::start(Keeps::Nothing, &[]);
    let mut waiting = server.connection();
    server.pause();
    waiting
        .send_packed_command(&redis::cmd("PING").get_packed_command())
        .expect("a buffer");
    server.resume();
    let pong = waiting.recv_response().expect("a reply");
    assert_eq!(pong, redis::Value::SimpleString("PONG".to_owned()));
}

#[test]
fn sentinels_promote_a_replica_and_the_old_master_follows_it() {
    let one = Server::start(Keeps::Nothing, &[]);
    let other = Server::start(Keeps::Nothing, &[]);
    one.ask::<()>(&["SET", "key", "1"]);
    other.follow(&one);
    let sentinels = Sentinels::watch(&one, 1);
    assert_eq!(sentinels.master(), Some(one.address()));
    sentinels.failover();
    wait_until("the other is the master", || {
        other.is_master() && sentinels.master() == Some(other.address()) && one.is_replica()
    });
    wait_until("the old one has everything", || value(&one).is_some());
}

/// A server that answers each line with the same line.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut reader = client.try_clone().expect("a socket");
                let _ = std::io::copy(&mut reader, &mut &client);
                let _ = client.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

fn client(proxy: &Proxy) -> TcpStream {
    let client = TcpStream::connect(proxy.address).expect("it listens");
    let patience = Some(Duration::from_secs(10));
    client.set_read_timeout(patience).expect("a socket");
    client
}

fn talk(client: &mut TcpStream, text: &[u8]) -> Vec<u8> {
    client.write_all(text).expect("it reads");
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).expect("an answer");
    answer
}

#[test]
fn it_forwards_and_cuts() {
    let proxy = Proxy::to(echo());
    let mut one = client(&proxy);
    assert_eq!(talk(&mut one, b"hello"), b"hello");
    assert_eq!((proxy.open(), proxy.accepted()), (1, 1));
    proxy.cut();
    assert!(one.read(&mut [0]).is_ok_and(|count| count == 0));
    wait_until("it has ended", || proxy.open() == 0);
    proxy.refuse(true);
    assert!(matches!(client(&proxy).read(&mut [0]), Ok(0) | Err(_)));
    proxy.refuse(false);
    assert_eq!(talk(&mut client(&proxy), b"again"), b"again");
}

#[test]
fn it_cuts_within_a_reply() {
    let proxy = Proxy::to(echo());
    let mut one = client(&proxy);
    assert_eq!(talk(&mut one, b"whole"), b"whole");
    proxy.cut_after(3);
    one.write_all(b"broken").expect("it reads");
    let mut rest = Vec::new();
    let _ = one.read_to_end(&mut rest);
    assert_eq!(rest, b"bro");
    assert_eq!(talk(&mut client(&proxy), b"again"), b"again");
}

#[test]
fn what_it_holds_comes_later_and_others_pass() {
    let proxy = Proxy::to(echo());
    let mut held = client(&proxy);
    assert_eq!(talk(&mut held, b"hello"), b"hello");
    proxy.hold(false);
    held.write_all(b"late").expect("a buffer");
    assert_eq!(talk(&mut client(&proxy), b"other"), b"other");
    proxy.release();
    let mut answer = [0; 4];
    held.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"late");
}

#[test]
fn replies_are_late_and_in_order() {
    let proxy = Proxy::to(echo());
    proxy.delay(Duration::from_millis(50));
    let began = Instant::now();
    let mut one = client(&proxy);
    assert_eq!(talk(&mut one, b"1"), b"1");
    assert_eq!(talk(&mut one, b"2"), b"2");
    assert!(began.elapsed() >= Duration::from_millis(100));
}
