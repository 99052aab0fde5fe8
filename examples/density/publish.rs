//! The publisher: Redis protocol or HTTP, one connection, one answer awaited for each event.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, bail, ensure};

use crate::args::Args;

/// Commands sent before their answers are read; the answers of so many always fit into the socket's buffer.
const PIPELINE: usize = 64;

/// Longest line or body of an answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A connection that events are published on.
pub(crate) struct Publisher {
    connection: BufReader<TcpStream>,
    http_path: Option<String>,
    host: String,
}

impl Publisher {
    /// Connects to `--publish-addr`.
    pub(crate) fn connect(args: &Args) -> anyhow::Result<Self> {
        let connection = TcpStream::connect(args.publish_addr)
            .with_context(|| format!("connecting to --publish-addr {}", args.publish_addr))?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(args.timeout))?;
        Ok(Self {
            connection: BufReader::new(connection),
            http_path: args.publish_path.clone(),
            host: args.publish_addr.to_string(),
        })
    }

    /// Publishes `(topic, data)` in order, as fast as the server takes them.
    pub(crate) fn publish(&mut self, events: &[(String, String)]) -> anyhow::Result<()> {
        if let Some(path) = self.http_path.clone() {
            for (topic, data) in events {
                self.post(&path.replace("{topic}", topic), data)?;
            }
            return Ok(());
        }
        for batch in events.chunks(PIPELINE) {
            let mut commands = Vec::new();
            for (topic, data) in batch {
                let (t, d) = (topic.len(), data.len());
                write!(
                    commands,
                    "*3\r\n$7\r\nPUBLISH\r\n${t}\r\n{topic}\r\n${d}\r\n{data}\r\n"
                )?;
            }
            self.connection.get_mut().write_all(&commands)?;
            for _ in batch {
                let answer = self.line()?;
                ensure!(answer.starts_with(':'), "PUBLISH was answered {answer:?}");
            }
        }
        Ok(())
    }

    fn post(&mut self, path: &str, data: &str) -> anyhow::Result<()> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{data}",
            self.host,
            data.len()
        );
        self.connection.get_mut().write_all(request.as_bytes())?;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = Some(value.trim().parse()?);
            }
        }
        let length: u64 = length.context("the answer to POST has no Content-Length")?;
        ensure!(
            length <= ANSWER_BYTES_MAX,
            "the answer to POST is {length} bytes long"
        );
        io::copy(&mut self.connection.by_ref().take(length), &mut io::sink())?;
        if !matches!(status.split(' ').nth(1), Some(code) if code.starts_with('2')) {
            bail!("POST {path} was answered {status:?}");
        }
        Ok(())
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.connection
            .by_ref()
            .take(ANSWER_BYTES_MAX)
            .read_line(&mut line)
            .context("waiting for the answer to an event")?;
        ensure!(
            line.ends_with('\n'),
            "the server closed the publishing connection"
        );
        Ok(line.trim_end().to_owned())
    }
}
