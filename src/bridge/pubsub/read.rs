//! The connection of a subscription: it subscribes, and reads messages.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::channels::Channels;
use super::connect::Stream;
use super::lost::Lost;
use super::server::Server;
use super::wire::{Frame, Item, Reader, command};

/// A message as it arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    /// The pattern that it came by, if it came by one.
    pub(super) pattern: Option<Bytes>,
    pub(super) channel: Bytes,
    /// The length of a payload that is longer than the limit.
    pub(super) payload: Result<Bytes, u64>,
}

impl Arrived {
    /// Bytes of memory that it holds, about.
    pub(super) fn bytes(&self) -> usize {
        self.channel.len() + self.payload.as_ref().map_or(0, Bytes::len)
    }
}

/// A connection that is subscribed.
pub(super) struct Subscription {
    stream: Box<dyn Stream>,
    reader: Reader,
}

impl Subscription {
    /// Connects and subscribes to all channels, and to that of the node's probes. The caller
    /// bounds the time.
    ///
    /// Messages that arrive before all of it is confirmed are dropped: the gap that begins a
    /// subscription tells of them.
    pub(super) async fn open(
        server: &Server,
        message_bytes_max: usize,
        channels: &Channels,
        probe_channel: &str,
    ) -> Result<Self, Lost> {
        let mut subscription = Self {
            stream: server.connect().await?,
            reader: Reader::new(message_bytes_max),
        };
        subscription.sign_in(server).await?;
        let names = channels.names().chain([probe_channel]);
        let mut due = subscription.send("SUBSCRIBE", names).await?;
        if channels.patterns().next().is_some() {
            due += subscription.send("PSUBSCRIBE", channels.patterns()).await?;
        }
        while due > 0 {
            match subscription.frame().await? {
                Frame::One(Item::Error(error)) => return Err(Lost::refused(&error)),
                Frame::Array(items) if is_confirmation(&items) => due -= 1,
                _ => {}
            }
        }
        Ok(subscription)
    }

    /// A connection that is subscribed already.
    #[cfg(test)]
    pub(super) fn of(stream: impl Stream + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            reader: Reader::new(1 << 20),
        }
    }

    /// Names itself to the server: with its user, if there is one, and a name for `CLIENT LIST`.
    async fn sign_in(&mut self, server: &Server) -> Result<(), Lost> {
        let login = server.login();
        if !login.is_empty() {
            let words = ["AUTH"].into_iter().chain(login);
            let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
            self.write(&command(&words)).await?;
            if let Frame::One(Item::Error(error)) = self.frame().await? {
                return Err(Lost::refused(&error));
            }
        }
        self.write(&command(&[b"CLIENT", b"SETNAME", b"fantail-pubsub"]))
            .await?;
        match self.frame().await? {
            // Of `protected-mode`: the server has ended the connection.
            Frame::One(Item::Error(error)) if error.starts_with("DENIED") => {
                Err(Lost::refused(&error))
            }
            // A user may have no right to do so; a name is not worth a subscription.
            _ => Ok(()),
        }
    }

    /// Sends a command with these arguments; returns the number of confirmations.
    async fn send<'n>(
        &mut self,
        name: &'n str,
        arguments: impl Iterator<Item = &'n str>,
    ) -> Result<usize, Lost> {
        let words = [name].into_iter().chain(arguments);
        let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
        self.write(&command(&words)).await?;
        Ok(words.len() - 1)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.stream.write_all(bytes).await.map_err(Lost::io)?;
        self.stream.flush().await.map_err(Lost::io)
    }

    async fn frame(&mut self) -> Result<Frame, Lost> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// Reads more bytes. Dropping the future before it is ready loses none.
    pub(super) async fn fill(&mut self) -> Result<(), Lost> {
        let read = self.stream.read_buf(self.reader.buffer()).await;
        match read.map_err(Lost::io)? {
            0 => Err(Lost::closed("the server has ended the connection")),
            _ => Ok(()),
        }
    }

    /// The next message that has arrived whole.
    pub(super) fn arrived(&mut self) -> Result<Option<Arrived>, Lost> {
        while let Some(frame) = self.reader.next_frame()? {
            match frame {
                Frame::One(Item::Error(error)) => return Err(Lost::refused(&error)),
                Frame::One(_) => {}
                Frame::Array(items) => {
                    if let Some(message) = message(&items) {
                        return Ok(Some(message));
                    }
                }
            }
        }
        Ok(None)
    }
}

fn is_confirmation(items: &[Item]) -> bool {
    matches!(items.first(), Some(Item::Text(kind)) if matches!(&kind[..], b"subscribe" | b"psubscribe"))
}

/// The message in an array, if it is one.
fn message(items: &[Item]) -> Option<Arrived> {
    let (pattern, channel, payload) = match items {
        [Item::Text(kind), channel, payload] if &kind[..] == b"message" => (None, channel, payload),
        [Item::Text(kind), Item::Text(pattern), channel, payload] if &kind[..] == b"pmessage" => {
            (Some(pattern.clone()), channel, payload)
        }
        _ => return None,
    };
    let (channel, payload) = match (channel, payload) {
        (Item::Text(channel), Item::Text(payload)) => (channel.clone(), Ok(payload.clone())),
        (Item::Text(channel), Item::TooLong(length)) => (channel.clone(), Err(*length)),
        (Item::TooLong(length), _) => (Bytes::new(), Err(*length)),
        _ => return None,
    };
    Some(Arrived {
        pattern,
        channel,
        payload,
    })
}
