//! How one event is written for the server: a Redis command or an HTTP request, from templates.

use std::io::Write;

use crate::message::Endpoint;
use crate::target::{self, Address, PUBLISH_PLACEHOLDERS, Preset, TargetError};
use crate::template::Template;

/// How to publish.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    /// Where.
    pub(crate) endpoint: Endpoint,
    /// Events that may be under way on one connection before the first is answered.
    pub(crate) pipeline: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// The words of a command.
    Resp(Vec<Template>),
    Http(Request),
}

#[derive(Clone, Debug)]
struct Request {
    method: String,
    path: Template,
    headers: Vec<Template>,
    body: Template,
    escape: Escape,
}

/// How topic and data are written in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    Form,
    Json,
    None,
}

/// What the user says about publishing.
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
}

/// Events under way on a Redis connection, by default: enough to fill it, few enough for any server's input buffer.
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
            let command = wishes
                .command
                .as_deref()
                .unwrap_or("PUBLISH {topic} {data}");
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
            // Many HTTP servers take pipelined requests badly.
            Kind::Http(_) => 1,
        };
        Ok(Self {
            endpoint: address.endpoint.clone(),
            pipeline: wishes.pipeline.unwrap_or(pipeline).max(1),
            kind,
        })
    }

    /// Whether answers are those of the Redis protocol.
    pub(crate) fn is_resp(&self) -> bool {
        matches!(self.kind, Kind::Resp(_))
    }

    /// Appends what publishes event number `event` of the run.
    pub(crate) fn write(&self, event: u64, topic: &str, data: &str, out: &mut Vec<u8>) {
        let value = |name: &str| match name {
            "topic" => topic.to_owned(),
            "data" => data.to_owned(),
            _ => event.to_string(),
        };
        match &self.kind {
            Kind::Resp(words) => {
                push(out, format_args!("*{}\r\n", words.len()));
                for word in words {
                    let word = word.fill(value);
                    push(out, format_args!("${}\r\n{word}\r\n", word.len()));
                }
            }
            Kind::Http(request) => request.write(&self.endpoint.host, value, out),
        }
    }
}

impl Request {
    fn new(address: &Address, preset: Preset, wishes: &Wishes) -> Result<Self, TargetError> {
        let template = |text: &str| Template::new(text, &PUBLISH_PLACEHOLDERS);
        let path = if address.path.is_empty() {
            preset.publish_path()
        } else {
            &address.path
        };
        let (body, media_type) = preset.publish_body();
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
                headers.push(template(header)?);
            }
        }
        headers.push(template(&format!("Content-Type: {content_type}"))?);
        let body = wishes.body.as_deref().unwrap_or(body);
        let (path, body) = (template(path)?, (template(body)?, body));
        if !path.has("data") && !body.0.has("data") {
            return Err(TargetError::NoData("--publish-body", body.1.to_owned()));
        }
        Ok(Self {
            method: wishes.method.clone().unwrap_or_else(|| "POST".to_owned()),
            path,
            headers,
            body: body.0,
            escape: Escape::of(&content_type),
        })
    }

    fn write(&self, host: &str, value: impl Fn(&str) -> String, out: &mut Vec<u8>) {
        let body = self.body.fill(|name| self.escape.apply(&value(name)));
        let path = self.path.fill(|name| target::encode(&value(name)));
        push(
            out,
            format_args!("{} {path} HTTP/1.1\r\nHost: {host}\r\n", self.method),
        );
        for field in &self.headers {
            push(out, format_args!("{}\r\n", field.fill(&value)));
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
            Self::Json => {
                let quoted = serde_json::Value::from(text).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            Self::None => text.to_owned(),
        }
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
        recipe.write(7, "a/b c", "ft:1:0:1:9:", &mut out);
        String::from_utf8(out).expect("text")
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
