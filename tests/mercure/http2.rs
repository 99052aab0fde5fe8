use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::node::{FORM, HUB, Node, bearer, publisher, subscriber};

type Client = SendRequest<Full<Bytes>>;

async fn connect(node: &Node) -> Client {
    let socket = TcpStream::connect(node.address).await.expect("accepted");
    let (client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    client
}

async fn call(
    client: &mut Client,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Response<Incoming> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://node.example{target}"));
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body.to_owned()));
    let answer = client.send_request(request.expect("a request")).await;
    answer.expect("an answer")
}

#[test]
fn tokens_and_cookies_are_read_here_too() {
    let node = Node::guarded();
    node.runtime.block_on(async {
        let mut client = connect(&node).await;
        let target = format!("{HUB}?topic=a");
        let refused = call(&mut client, "GET", &target, &[], "").await;
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key("www-authenticate"));
        let header = bearer(&subscriber(&["a"]));
        let fields = [("authorization", &*header)];
        let mut stream = call(&mut client, "GET", &target, &fields, "").await;
        assert_eq!(stream.status(), 200);

        // Cookies may be in fields of their own, and the host is part of the target.
        let cookie = format!("mercureAuthorization={}", publisher(&["*"]));
        let mut fields = vec![
            ("cookie", "a=b"),
            ("cookie", &*cookie),
            ("content-type", FORM),
            ("origin", "https://evil.example"),
        ];
        let form = "topic=a&data=private&private=on";
        let foreign = call(&mut client, "POST", HUB, &fields, form).await;
        assert_eq!(foreign.status(), 403);
        fields[3] = ("origin", "https://node.example");
        let own = call(&mut client, "POST", HUB, &fields, form).await;
        assert_eq!(own.status(), 200);

        let mut text = String::new();
        while !text.contains("data: private\n\n") {
            let frame = stream.body_mut().frame().await.expect("more");
            let data = frame.expect("open").into_data().expect("data");
            text.push_str(std::str::from_utf8(&data).expect("UTF-8"));
        }
    });
}
