//! Client libraries that the tests cannot run: the commands that they send on connecting, as far as
//! their public sources show, for a named user; and then their first events.
//!
//! `CLIENT MAINT_NOTIFICATIONS` is refused, as by every Redis that is no cluster of a provider. The
//! libraries expect that, and go on.

use crate::support::{Client, command};
use crate::users::guarded;
use crate::{OK, id};

const NO_MAINTENANCE: &str = "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n";

fn ask(client: &mut Client, words: &[&str]) -> String {
    client.ask(command(words))
}

/// `HELLO 3` is answered with a map of seven pairs, which has what libraries look for.
fn is_greeted(client: &mut Client, words: &[&str]) {
    let reply = ask(client, words);
    assert!(reply.starts_with("%7\r\n"), "{words:?}: {reply:?}");
    for pair in [
        "$6\r\nserver\r\n$5\r\nredis\r\n",
        "$5\r\nproto\r\n:3\r\n",
        "$4\r\nmode\r\n$10\r\nstandalone\r\n",
        "$4\r\nrole\r\n$6\r\nmaster\r\n",
    ] {
        assert!(reply.contains(pair), "{pair:?} in {reply:?}");
    }
}

/// `PUBLISH` and `XADD` as the code in `docs/INTEGRATIONS.md` sends them.
fn publishes(client: &mut Client, publish: &str, add: &[&str]) {
    assert_eq!(ask(client, &[publish, "news.1", "{}"]), ":0\r\n");
    let fields = ["event", "said", "id", "m-1", "data", "{}"];
    let reply = ask(client, &[add, &fields].concat());
    id(&reply);
}

#[test]
fn lettuce_connects_with_resp3_and_publishes() {
    let node = guarded();
    let mut client = node.connect();
    is_greeted(
        &mut client,
        &["HELLO", "3", "AUTH", "bob", "pw", "SETNAME", "shop"],
    );
    for (words, expected) in [
        (&["CLIENT", "SETINFO", "lib-name", "Lettuce"][..], OK),
        (
            &["CLIENT", "SETINFO", "lib-ver", "7.7.0.RELEASE/0a1b2c3"],
            OK,
        ),
        (
            &[
                "CLIENT",
                "MAINT_NOTIFICATIONS",
                "on",
                "moving-endpoint-type",
                "internal-ip",
            ],
            NO_MAINTENANCE,
        ),
        (&["PING"], "+PONG\r\n"),
    ] {
        assert_eq!(ask(&mut client, words), expected, "{words:?}");
    }
    publishes(&mut client, "PUBLISH", &["XADD", "art", "*"]);
    // The health check of Spring Boot's Actuator.
    assert!(ask(&mut client, &["INFO"]).contains("redis_version:"));
}

#[test]
fn lettuce_connects_with_resp2_and_publishes() {
    let node = guarded();
    let mut client = node.connect();
    for words in [
        &["AUTH", "bob", "pw"][..],
        &["CLIENT", "SETNAME", "shop"],
        &["CLIENT", "SETINFO", "lib-name", "Lettuce"],
        &["CLIENT", "SETINFO", "lib-ver", "6.3.2.RELEASE/8941aea"],
    ] {
        assert_eq!(ask(&mut client, words), OK, "{words:?}");
    }
    publishes(&mut client, "PUBLISH", &["XADD", "art", "*"]);
}

#[test]
fn jedis_connects_and_publishes() {
    let node = guarded();
    let mut client = node.connect();
    is_greeted(&mut client, &["HELLO", "3", "AUTH", "bob", "pw"]);
    let library = "jedis(spring-data-redis_v3.5.4)";
    for words in [
        &["CLIENT", "SETNAME", "shop"][..],
        &["CLIENT", "SETINFO", "LIB-NAME", library],
        &["CLIENT", "SETINFO", "LIB-VER", "7.0.0"],
        &["SELECT", "0"],
    ] {
        assert_eq!(ask(&mut client, words), OK, "{words:?}");
    }
    publishes(&mut client, "PUBLISH", &["XADD", "art", "*"]);
}

/// Its words are in lower case, and the commands after `hello` arrive as one pipeline.
#[test]
fn go_redis_connects_and_publishes() {
    let node = guarded();
    let mut client = node.connect();
    is_greeted(
        &mut client,
        &["hello", "3", "auth", "bob", "pw", "setname", "shop"],
    );
    let pipeline = [
        command(&["client", "setinfo", "LIB-NAME", "go-redis(,go1.24.4)"]),
        command(&["client", "setinfo", "LIB-VER", "9.23.0"]),
    ];
    assert_eq!(client.ask(pipeline.concat()), format!("{OK}{OK}"));
    let maintenance = [
        "client",
        "maint_notifications",
        "on",
        "moving-endpoint-type",
        "internal-ip",
    ];
    let refused = NO_MAINTENANCE.replace("MAINT_NOTIFICATIONS", "maint_notifications");
    assert_eq!(ask(&mut client, &maintenance), refused);
    publishes(&mut client, "publish", &["xadd", "art", "*"]);
    // Its health check.
    assert_eq!(ask(&mut client, &["ping"]), "+PONG\r\n");
}

/// A database other than 0 is refused, so an address with one fails when the client connects and
/// not by events that nobody hears.
#[test]
fn a_library_that_selects_another_database_is_told_so() {
    let node = guarded();
    let mut client = node.connect();
    is_greeted(&mut client, &["HELLO", "3", "AUTH", "bob", "pw"]);
    let reply = ask(&mut client, &["SELECT", "1"]);
    assert_eq!(reply, "-ERR DB index is out of range\r\n");
}
