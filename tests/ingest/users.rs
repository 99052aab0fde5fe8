use fantail::settings::IngestUser;

use crate::support::{Node, command};
use crate::{OK, arity, id};

pub(crate) fn guarded() -> Node {
    Node::with(|settings| {
        settings.ingest_password = Some("secret".into());
        settings.ingest_users = vec![IngestUser {
            name: "bob".to_owned(),
            password: "pw".into(),
            publish: ["news.*", "art"]
                .map(|glob| glob.parse().expect("a glob"))
                .into(),
        }];
    })
}

const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";

#[test]
fn nothing_is_done_before_authentication() {
    let node = guarded();
    let mut client = node.connect();
    let mut check = |line: &str, expected: &str| {
        client.send(format!("{line}\r\n"));
        let reply = client.read_until(b"\r\n");
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{line}");
    };
    const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
    check("PING", NOAUTH);
    check("PUBLISH news.a x", NOAUTH);
    check("CLIENT ID", NOAUTH);
    check("COMMAND", NOAUTH);
    check(
        "SUBSCRIBE",
        "-ERR unknown command 'SUBSCRIBE', with args beginning with: (this port only takes events in; streams are read over HTTP: GET /events?topic=...)\r\n",
    );
    check("PUBLISH", &arity("publish"));
    check("RESET", "+RESET\r\n");
    check(
        "HELLO 3 SETNAME x",
        "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n",
    );
    check("AUTH bad", WRONG);
    check("AUTH bob bad", WRONG);
    check("HELLO 3 AUTH default bad", WRONG);
    check("PING", NOAUTH);
    check("AUTH secret", OK);
    check("PUBLISH news.a x", ":0\r\n");
    check("AUTH bad", WRONG);
    check("PING", "+PONG\r\n");
    check("RESET", "+RESET\r\n");
    check("PING", NOAUTH);
    check("QUIT", OK);
    assert_eq!(client.read_to_end(), "");
}

#[test]
fn named_users_publish_where_they_may_and_nothing_else() {
    let node = guarded();
    let mut client = node.connect();
    client.send("HELLO 3 AUTH bob pw SETNAME x\r\n");
    client.read_until(b"*0\r\n");
    let channel = "-NOPERM No permissions to access a channel\r\n";
    let key = "-NOPERM No permissions to access a key\r\n";
    let command =
        |name: &str| format!("-NOPERM User bob has no permissions to run the '{name}' command\r\n");
    client.check("PUBLISH news.art x", ":0\r\n");
    client.check("PUBLISH art x", ":0\r\n");
    client.check("PUBLISH news x", channel);
    client.check("SPUBLISH other x", channel);
    client.check("XADD other * data x", key);
    client.check("XADD art * data x topic other", key);
    id(&client.ask("XADD art * data x topic news.b\r\n"));
    client.check("XRANGE art - +", &command("xrange"));
    client.check("XLEN art", &command("xlen"));
    client.check("XREAD STREAMS art 0", &command("xread"));
    client.check("PUBSUB CHANNELS", &command("pubsub|channels"));
    client.check("CLIENT LIST", &command("client|list"));
    assert!(client.ask("CLIENT INFO\r\n").contains(" user=bob "));
    assert!(client.ask("INFO\r\n").contains("role:master"));
    client.check("AUTH secret", OK);
    client.check("PUBLISH other x", ":0\r\n");
}

#[test]
fn a_stranger_can_only_send_a_little() {
    let node = guarded();
    for (bytes, error) in [
        (b"*11\r\n".to_vec(), "unauthenticated multibulk length"),
        (b"*1\r\n$16385\r\n".to_vec(), "unauthenticated bulk length"),
        (
            b"*2\r\n$4\r\nECHO\r\n$16384\r\n".to_vec(),
            "unauthenticated bulk length",
        ),
        (vec![b'x'; 16 * 1024 + 1], "too big inline request"),
    ] {
        let mut client = node.connect();
        client.send(bytes);
        assert_eq!(
            client.read_to_end(),
            format!("-ERR Protocol error: {error}\r\n")
        );
    }
    // The bounds fall with the password, within the same bytes.
    let mut client = node.connect();
    let long = "x".repeat(100_000);
    let mut bytes = command(&["AUTH", "secret"]);
    bytes.extend_from_slice(&command(&["ECHO", &long]));
    assert_eq!(client.ask(bytes), format!("+OK\r\n$100000\r\n{long}\r\n"));
}
