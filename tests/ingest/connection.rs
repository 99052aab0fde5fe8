use crate::support::{Node, wait_for};
use crate::{OK, arity};

#[test]
fn connection_commands_answer_as_redis_does() {
    let node = Node::start();
    let mut client = node.connect();
    for (line, expected) in [
        ("PING", "+PONG\r\n"),
        ("ping hello", "$5\r\nhello\r\n"),
        ("PING a b", &arity("ping")),
        ("ECHO x", "$1\r\nx\r\n"),
        ("ECHO", &arity("echo")),
        ("SELECT 0", OK),
        ("SELECT 1", "-ERR DB index is out of range\r\n"),
        (
            "SELECT a",
            "-ERR value is not an integer or out of range\r\n",
        ),
        ("CLIENT GETNAME", "$-1\r\n"),
        ("CLIENT SETNAME me", OK),
        ("CLIENT GETNAME", "$2\r\nme\r\n"),
        (
            "CLIENT SETNAME 'a b'",
            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
        ),
        ("CLIENT SETINFO lib-name py", OK),
        ("CLIENT SETINFO LIB-VER 1.0", OK),
        (
            "CLIENT SETINFO lib-foo x",
            "-ERR Unrecognized option 'lib-foo'\r\n",
        ),
        (
            "CLIENT SETINFO lib-name 'a b'",
            "-ERR lib-name cannot contain spaces, newlines or special characters.\r\n",
        ),
        ("CLIENT NO-EVICT on", OK),
        ("CLIENT NO-TOUCH off", OK),
        ("CLIENT NO-TOUCH o", "-ERR syntax error\r\n"),
        ("CLIENT ID", ":1\r\n"),
        ("CLIENT ID x", &arity("client|id")),
        ("CLIENT", &arity("client")),
        (
            "CLIENT KILL x",
            "-ERR unknown subcommand 'KILL'. Try CLIENT HELP.\r\n",
        ),
        ("CLIENT LIST ID 99", "$0\r\n\r\n"),
        ("CLIENT LIST ID a", "-ERR Invalid client ID\r\n"),
        ("CLIENT LIST TYPE pubsub", "$0\r\n\r\n"),
        ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'\r\n"),
        ("CLIENT LIST FOO", "-ERR syntax error\r\n"),
        (
            "AUTH x",
            "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?\r\n",
        ),
        ("AUTH default x", OK),
        (
            "AUTH a b",
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        ),
        ("AUTH a b c", "-ERR syntax error\r\n"),
        ("RESET", "+RESET\r\n"),
        ("CLIENT GETNAME", "$-1\r\n"),
        ("CONFIG GET save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"),
        (
            "CONFIG GET APPEND* s?ve",
            "*4\r\n$10\r\nappendonly\r\n$2\r\nno\r\n$4\r\nsave\r\n$0\r\n\r\n",
        ),
        ("CONFIG GET foo", "*0\r\n"),
        ("CONFIG GET", &arity("config|get")),
        (
            "CONFIG SET a b",
            "-ERR unknown subcommand 'SET'. Try CONFIG HELP.\r\n",
        ),
        ("TIME x", &arity("time")),
        ("COMMAND COUNT", ":32\r\n"),
        ("COMMAND INFO nothing", "*1\r\n$-1\r\n"),
        ("COMMAND DOCS nothing", "*0\r\n"),
        (
            "COMMAND LIST FILTERBY PATTERN xr*",
            "*3\r\n$6\r\nxrange\r\n$9\r\nxrevrange\r\n$5\r\nxread\r\n",
        ),
        ("COMMAND LIST FILTERBY ACLCAT write", "*1\r\n$4\r\nxadd\r\n"),
        ("COMMAND LIST FOO", "-ERR syntax error\r\n"),
        (
            "COMMAND FOO",
            "-ERR unknown subcommand 'FOO'. Try COMMAND HELP.\r\n",
        ),
        (
            "foo a b",
            "-ERR unknown command 'foo', with args beginning with: 'a' 'b' \r\n",
        ),
        (
            r#"foo "a\r\nb""#,
            "-ERR unknown command 'foo', with args beginning with: 'a  b' \r\n",
        ),
    ] {
        client.check(line, expected);
    }
    let hint = client.ask("SUBSCRIBE x\r\n");
    assert!(
        hint.starts_with(
            "-ERR unknown command 'SUBSCRIBE', with args beginning with: 'x' (this port"
        ),
        "{hint}"
    );
    assert!(client.ask("TIME\r\n").starts_with("*2\r\n$10\r\n"));
    client.check(
        "COMMAND INFO publish",
        "*1\r\n*10\r\n$7\r\npublish\r\n:3\r\n*4\r\n+pubsub\r\n+loading\r\n+stale\r\n+fast\r\n:0\r\n:0\r\n:0\r\n*2\r\n+@pubsub\r\n+@fast\r\n*0\r\n*0\r\n*0\r\n",
    );
    assert!(
        client
            .ask("COMMAND\r\n")
            .starts_with("*32\r\n*10\r\n$7\r\npublish\r\n")
    );
    assert!(
        client
            .ask("COMMAND DOCS ping client|id\r\n")
            .starts_with("*4\r\n$4\r\nping\r\n*8\r\n$7\r\nsummary\r\n")
    );
    let info = client.ask("INFO\r\n");
    assert!(
        info.contains("redis_version:7.2.0\r\n") && info.contains("loading:0\r\n"),
        "{info}"
    );
    assert_eq!(client.ask("INFO clients\r\n").matches('#').count(), 1);
    client.check("INFO foo", "$0\r\n\r\n");
    for container in ["CLIENT", "COMMAND", "CONFIG"] {
        let help = client.ask(format!("{container} HELP\r\n"));
        assert!(
            help.contains(&format!("+{container} <subcommand>")),
            "{help}"
        );
    }
}

#[test]
fn hello_switches_the_protocol() {
    let node = Node::start();
    let mut client = node.connect();
    let body = |proto: u8| {
        format!(
            "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.0\r\n$5\r\nproto\r\n:{proto}\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
        )
    };
    client.check("HELLO", &format!("*14\r\n{}", body(2)));
    client.check("HELLO 3 SETNAME me", &format!("%7\r\n{}", body(3)));
    client.check("CLIENT GETNAME", "$2\r\nme\r\n");
    client.check("CONFIG GET save", "%1\r\n$4\r\nsave\r\n$0\r\n\r\n");
    client.check("XADD t NOMKSTREAM * data x", "_\r\n");
    assert!(client.ask("INFO server\r\n").starts_with('='));
    client.check("HELLO", &format!("%7\r\n{}", body(3)));
    client.check("HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    client.check(
        "HELLO a",
        "-ERR Protocol version is not an integer or out of range\r\n",
    );
    client.check("HELLO 3 FOO", "-ERR Syntax error in HELLO option 'FOO'\r\n");
    client.check(
        "HELLO 2 SETNAME a AUTH",
        "-ERR Syntax error in HELLO option 'AUTH'\r\n",
    );
    client.check(
        "HELLO 3 SETNAME 'a b'",
        "-ERR Client names cannot contain spaces, newlines or special characters.\r\n",
    );
    client.check(
        "HELLO 3 AUTH a b",
        "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    );
    client.check("RESET", "+RESET\r\n");
    client.check("CLIENT GETNAME", "$-1\r\n");
    client.check(
        "HELLO 2 AUTH default any SETNAME x",
        &format!("*14\r\n{}", body(2)),
    );
}

#[test]
fn client_list_shows_open_connections_only() {
    let node = Node::start();
    let mut first = node.connect();
    first.check("CLIENT SETNAME first", OK);
    let mut second = node.connect();
    second.check("PUBLISH a b", ":0\r\n");
    let list = first.ask("CLIENT LIST\r\n");
    assert_eq!(list.matches("\nid=").count(), 2, "{list}");
    let address = first.stream.local_addr().expect("address");
    assert!(
        list.contains(&format!("id=1 addr={address} laddr={}", node.address)),
        "{list}"
    );
    assert!(
        list.contains(" name=first ") && list.contains(" cmd=client user=default "),
        "{list}"
    );
    let info = second.ask("CLIENT INFO\r\n");
    assert!(info.contains("id=2 ") && !info.contains("id=1 "), "{info}");
    assert!(first.ask("CLIENT LIST ID 2 99\r\n").contains("id=2 "));
    drop(second);
    wait_for("the second to leave", || {
        !first.ask("CLIENT LIST\r\n").contains("id=2 ")
    });
    assert_eq!(node.hub.node_metrics().ingest_connections.get(), 1);
    assert!(node.hub.node_metrics().ingest_commands.get() > 5);
}
