//! How one event is written for the server: a Redis command or an HTTP request, from templates.

use std::io::Write;

use crate::message::Endpoint;
use crate::target::{
    self, AUTHORIZATION, Address, PUBLISH_HEAD_PLACEHOLDERS, PUBLISH_PLACEHOLDERS, Preset,
    TargetError, User,
};
use crate::template::Template;

/// How to publish.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The address.
    pub(crate) endpoint: Endpoint,
    /// Events that may be under way on one connection before the first is answered.
    pub(crate) pipeline: usize,
    kind: Kind,
    /// The first bytes of each connection: `AUTH`, if the URL has a password.
    greeting: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    /// The words of a command.
    Resp(Vec<Template>),
    Http(Request),
}

#[derive(Clone, Debug, PartialEq)]
struct Request {
    method: String,
    path: Template,
    headers: Vec<Template>,
    body: Template,
    escape: Escape,
    token: Option<String>,
}

/// How topic and data are written in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Form,
    Json,
    None,
}

/// What an event says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    /// Its topic.
    pub(crate) topic: &'a str,
    /// Its data.
    pub(crate) data: &'a str,
    /// Its idempotency key.
    pub(crate) key: &'a str,
}

/// The user's options of publishing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// `--publish-method`.
    pub(crate) method: Option<String>,
    /// `--publish-header`.
    pub(crate) headers: Vec<String>,
    /// `--publish-body`.
    pub(crate) body: Option<String>,
    /// `--publish-command`.
    pub(crate) command: Option<String>,
    /// `--publish-pipeline`.
    pub(crate) pipeline: Option<usize>,
    /// `--private`.
    pub(crate) private: bool,
    /// Events are published with idempotency keys, where the preset knows how.
    pub(crate) keyed: bool,
    /// The token made from `--publish-token-claims`.
    pub(crate) token: Option<String>,
}

/// Events under way on a Redis connection, by default: enough to fill it, few enough for any
/// server's input buffer.
const RESP_PIPELINE: usize = 64;

impl Recipe {
    /// Puts the recipe together.
    pub(crate) fn new(
        address: &Address,
        preset: Preset,
        wishes: &Wishes,
    ) -> Result<Self, TargetError> {
        let template = |text: &str| Template::new(text, &PUBLISH_PLACEHOLDERS);
        let kind = if address.scheme == "resp" {
            let keyed = preset.keyed_command(wishes.private);
            let keyed = keyed.filter(|_| wishes.keyed);
            let usual = keyed.unwrap_or(preset.publish_command(wishes.private));
            let command = wishes.command.as_deref().unwrap_or(usual);
            let words = command.split_whitespace().map(template);
            let words = words.collect::<Result<Vec<_>, _>>()?;
            if !words.iter().any(|word| word.has("data")) {
                return Err(TargetError::NoData("--publish-command", command.to_owned()));
            }
            Kind::Resp(words)
        } else {
            Kind::Http(Request::new(address, preset, wishes)?)
        };
        let pipeline = match kind {
            Kind::Resp(_) => RESP_PIPELINE,
            // Many HTTP servers handle pipelined requests badly.
            Kind::Http(_) => 1,
        };
        Ok(Self {
            endpoint: address.endpoint.clone(),
            pipeline: wishes.pipeline.unwrap_or(pipeline).max(1),
            kind,
            greeting: address.user.as_ref().map(login).unwrap_or_default(),
        })
    }

    /// The first bytes of each connection, which are answered.
    pub(crate) fn greeting(&self) -> &[u8] {
        &self.greeting
    }

    /// Whether answers are those of the Redis protocol.
    pub(crate) fn is_resp(&self) -> bool {
        matches!(self.kind, Kind::Resp(_))
    }

    /// Adds the addresses of the other recipes, to be used when none of its own takes a connection:
    /// the same bytes publish the same event there. Over TLS a node is known by its name, so there
    /// are none.
    pub(crate) fn stand_ins(&mut self, others: &[Self]) {
        for other in others {
            let is_plain = self.endpoint.tls.is_none() && other.endpoint.tls.is_none();
            if is_plain && self.kind == other.kind && self.greeting == other.greeting {
                let own = &mut self.endpoint.addresses;
                let addresses = other.endpoint.addresses.iter();
                let new: Vec<_> = addresses.filter(|it| !own.contains(it)).copied().collect();
                own.extend(new);
            }
        }
    }

    /// Appends the bytes that publish event number `event` of the run.
    pub(crate) fn write(&self, event: u64, words: &Words<'_>, out: &mut Vec<u8>) {
        let value = |name: &str| match name {
            "topic" => words.topic.to_owned(),
            "data" => words.data.to_owned(),
            "key" => words.key.to_owned(),
            _ => event.to_string(),
        };
        match &self.kind {
            Kind::Resp(words) => {
                let words: Vec<String> = words.iter().map(|word| word.fill(value)).collect();
                push_command(out, words.iter().map(String::as_str));
            }
            Kind::Http(request) => request.write(&self.endpoint.host, value, out),
        }
    }
}

impl Request {
    fn new(address: &Address, preset: Preset, wishes: &Wishes) -> Result<Self, TargetError> {
        let template = |text: &str| Template::new(text, &PUBLISH_PLACEHOLDERS);
        let head = |text: &str| Template::new(text, &PUBLISH_HEAD_PLACEHOLDERS);
        let path = if address.path.is_empty() {
            preset.publish_path(wishes.private)
        } else {
            &address.path
        };
        if wishes.private && preset == Preset::Fantail && path != preset.publish_path(true) {
            return Err(TargetError::PrivatePath(path.to_owned()));
        }
        let (body, media_type) = preset.publish_body(wishes.private)?;
        let mut headers = Vec::new();
        let mut content_type = media_type.to_owned();
        for header in &wishes.headers {
            let (name, value) = header.split_once(':').ok_or_else(|| TargetError::Header {
                flag: "--publish-header",
                text: header.clone(),
            })?;
            if name.eq_ignore_ascii_case("content-type") {
                value.trim().clone_into(&mut content_type);
            } else {
                headers.push(head(header)?);
            }
        }
        if let Some(field) = preset.key_header().filter(|_| wishes.keyed) {
            headers.push(head(field)?);
        }
        headers.push(template(&format!("Content-Type: {content_type}"))?);
        let body = wishes.body.as_deref().unwrap_or(body);
        let (path, body) = (head(path)?, (template(body)?, body));
        let asked = path.has("token") || headers.iter().any(|header| header.has("token"));
        if wishes.token.is_none() && asked {
            return Err(TargetError::NoToken("--publish", "--publish-token-claims"));
        }
        if wishes.token.is_some() && !asked {
            if wishes
                .headers
                .iter()
                .any(|header| target::is_authorization(header))
            {
                return Err(TargetError::TokenUnused(
                    "--publish-header",
                    "--publish-token-claims",
                ));
            }
            headers.push(head(AUTHORIZATION)?);
        }
        if !path.has("data") && !body.0.has("data") {
            return Err(TargetError::NoData("--publish-body", body.1.to_owned()));
        }
        Ok(Self {
            method: wishes.method.clone().unwrap_or_else(|| "POST".to_owned()),
            path,
            headers,
            body: body.0,
            escape: Escape::of(&content_type),
            token: wishes.token.clone(),
        })
    }

    fn write(&self, host: &str, value: impl Fn(&str) -> String, out: &mut Vec<u8>) {
        let value = |name: &str| match (name, &self.token) {
            ("token", Some(token)) => token.clone(),
            _ => value(name),
        };
        let body = self.body.fill(|name| self.escape.apply(&value(name)));
        let path = self.path.fill(|name| target::encode(&value(name)));
        push(
            out,
            format_args!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", self.method),
        );
        for field in &self.headers {
            push(out, format_args!("{}\r\n", field.fill(value)));
        }
        push(
            out,
            format_args!("Content-Length: {}\r\n\r\n{body}", body.len()),
        );
    }
}

impl Escape {
    fn of(content_type: &str) -> Self {
        if content_type.starts_with("application/x-www-form-urlencoded") {
            Self::Form
        } else if content_type.starts_with("application/json") {
            Self::Json
        } else {
            Self::None
        }
    }

    fn apply(self, text: &str) -> String {
        match self {
            Self::Form => target::encode(text),
            Self::Json => target::json_text(text),
            Self::None => text.to_owned(),
        }
    }
}

fn login(user: &User) -> Vec<u8> {
    let mut out = Vec::new();
    let words = ["AUTH"]
        .into_iter()
        .chain(user.name.as_deref())
        .chain([&*user.password]);
    push_command(&mut out, words);
    out
}

fn push_command<'w>(out: &mut Vec<u8>, words: impl Iterator<Item = &'w str> + Clone) {
    push(out, format_args!("*{}\r\n", words.clone().count()));
    for word in words {
        push(out, format_args!("${}\r\n{word}\r\n", word.len()));
    }
}

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to memory does not fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(url: &str, preset: Preset, wishes: &Wishes) -> String {
        let address =
            Address::parse("--publish", url, &["http", "https", "resp"], None).expect("a URL");
        let recipe = Recipe::new(&address, preset, wishes).expect("a recipe");
        let mut out = Vec::new();
        let words = Words {
            topic: "a/b c",
            data: "ft:1:0:1:9:",
            key: "ft-1-0-1",
        };
        recipe.write(7, &words, &mut out);
        String::from_utf8(out).expect("text")
    }

    fn refused(url: &str, preset: Preset, wishes: &Wishes) -> String {
        let address = Address::parse("--publish", url, &["http", "https"], None).expect("a URL");
        let error = Recipe::new(&address, preset, wishes).err();
        error.expect("refused").to_string()
    }

    #[test]
    fn a_redis_command_is_written_word_by_word() {
        assert_eq!(
            write("resp://127.0.0.1:7379", Preset::Fantail, &Wishes::default()),
            "*3\r\n$7\r\nPUBLISH\r\n$5\r\na/b c\r\n$11\r\nft:1:0:1:9:\r\n"
        );
        let wishes = Wishes {
            command: Some("XADD {topic} * data {data}".to_owned()),
            ..Wishes::default()
        };
        assert!(
            write("resp://127.0.0.1:7379", Preset::Fantail, &wishes)
                .starts_with("*5\r\n$4\r\nXADD\r\n")
        );
    }

    #[test]
    fn private_events_are_written_as_each_server_knows_them() {
        let wishes = Wishes {
            private: true,
            ..Wishes::default()
        };
        let command = write("resp://127.0.0.1:7379", Preset::Fantail, &wishes);
        assert_eq!(
            command.replace("\r\n", " "),
            "*7 $4 XADD $5 a/b c $1 * $4 data $11 ft:1:0:1:9: $7 private $1 1 "
        );
        let json = write("http://127.0.0.1", Preset::Fantail, &wishes);
        assert!(json.starts_with("POST /publish HTTP/1.1\r\n"), "{json}");
        assert!(
            json.contains("Content-Type: application/json\r\n"),
            "{json}"
        );
        let body = r#"{"topic":"a/b c","data":"ft:1:0:1:9:","private":true}"#;
        assert!(json.ends_with(body), "{json}");
        let form = write("http://127.0.0.1", Preset::Mercure, &wishes);
        assert!(
            form.ends_with("topic=a/b%20c&data=ft:1:0:1:9:&private=on"),
            "{form}"
        );
        let url = "http://127.0.0.1/publish/{topic}";
        let error = refused(url, Preset::Fantail, &wishes);
        assert!(error.contains("leave the path out"), "{error}");
        let error = refused("http://127.0.0.1", Preset::Nchan, &wishes);
        assert!(
            error.contains("--preset nchan has no private events"),
            "{error}"
        );
    }

    #[test]
    fn an_event_has_the_same_key_over_every_way_in() {
        let wishes = Wishes {
            keyed: true,
            ..Wishes::default()
        };
        let command = write("resp://127.0.0.1:7379", Preset::Fantail, &wishes);
        assert!(
            command.ends_with("$3\r\nkey\r\n$8\r\nft-1-0-1\r\n"),
            "{command}"
        );
        let http = write("http://127.0.0.1", Preset::Fantail, &wishes);
        assert!(http.contains("\r\nIdempotency-Key: ft-1-0-1\r\n"), "{http}");
        // Others would take it for a part of the event.
        let other = write("http://127.0.0.1", Preset::Nchan, &wishes);
        assert!(!other.contains("ft-1-0-1"), "{other}");
    }

    #[test]
    fn another_node_stands_in_where_the_same_bytes_publish_the_same() {
        let recipe = |url: &str| {
            let allowed = &["http", "https", "resp"];
            let address = Address::parse("--publish", url, allowed, None).expect("a URL");
            Recipe::new(&address, Preset::Fantail, &Wishes::default()).expect("a recipe")
        };
        let mut first = recipe("resp://127.0.0.1:1");
        let others = [
            "resp://127.0.0.1:1",
            "resp://127.0.0.1:2",
            "http://127.0.0.1:3",
        ];
        let others = [&others[..], &["resp://u:p@127.0.0.1:4"]].concat();
        let others: Vec<Recipe> = others.into_iter().map(recipe).collect();
        first.stand_ins(&others);
        let addresses = first.endpoint.addresses.iter();
        let ports: Vec<u16> = addresses.map(std::net::SocketAddr::port).collect();
        assert_eq!(ports, [1, 2]);
    }

    #[test]
    fn a_token_goes_where_it_is_asked_for_or_into_its_usual_field() {
        let mut wishes = Wishes {
            token: Some("a.b.c".to_owned()),
            ..Wishes::default()
        };
        let usual = write("http://127.0.0.1", Preset::Mercure, &wishes);
        assert!(
            usual.contains("\r\nAuthorization: Bearer a.b.c\r\n"),
            "{usual}"
        );
        let query = "http://127.0.0.1/.well-known/mercure?authorization={token}";
        let query = write(query, Preset::Mercure, &wishes);
        assert!(
            query.starts_with("POST /.well-known/mercure?authorization=a.b.c HTTP"),
            "{query}"
        );
        assert!(!query.contains("Authorization:"), "{query}");
        wishes.headers = vec!["authorization: Basic eDp5".to_owned()];
        let error = refused("http://127.0.0.1", Preset::Mercure, &wishes);
        assert!(
            error.contains("write {token} in it, or leave it out"),
            "{error}"
        );
        wishes.token = None;
        wishes.headers = vec!["X-Token: {token}".to_owned()];
        let error = refused("http://127.0.0.1", Preset::Mercure, &wishes);
        assert!(
            error.contains("give --publish-token-claims with"),
            "{error}"
        );
    }

    #[test]
    fn a_request_is_escaped_as_its_place_asks_for() {
        let plain = write("http://127.0.0.1:80", Preset::Nchan, &Wishes::default());
        assert!(
            plain.starts_with("POST /pub/a/b%20c HTTP/1.1\r\nHost: 127.0.0.1\r\n"),
            "{plain}"
        );
        assert!(
            plain.ends_with("Content-Length: 11\r\n\r\nft:1:0:1:9:"),
            "{plain}"
        );
        let form = write("http://127.0.0.1", Preset::Mercure, &Wishes::default());
        assert!(form.contains("POST /.well-known/mercure "), "{form}");
        assert!(form.ends_with("topic=a/b%20c&data=ft:1:0:1:9:"), "{form}");
    }
}
