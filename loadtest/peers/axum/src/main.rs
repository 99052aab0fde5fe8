//! A simple fan-out of Server-Sent Events with axum and tokio's broadcast channel, as it is written
//! in an hour: the baseline that Fantail has to beat to be worth its code.
//!
//! `GET /events/{topic}` is a stream, `POST /publish/{topic}` publishes its body and answers with
//! the number of streams. There is no history: events that a stream was too slow for are reported
//! as `event: gap`.
//!
//! ```text
//! peer-axum 127.0.0.1:8080
//! ```

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

/// Events that a stream may be behind before it gets a gap.
const TOPIC_EVENTS_MAX: usize = 1024;

/// Connections that may wait to be accepted; tokio's 1024 would make a client that opens many wait
/// a second.
const BACKLOG: u32 = 4096;

struct Message {
    id: u64,
    data: String,
}

struct Topic {
    sender: broadcast::Sender<Arc<Message>>,
    /// Held while an event is sent, so that ids are sent in order.
    last_id: Mutex<u64>,
}

/// The topics that have had a stream since they were last published to.
#[derive(Default)]
struct Topics(Mutex<HashMap<String, Arc<Topic>>>);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = std::env::args()
        .nth(1)
        .context("usage: peer-axum ADDRESS")?;
    let address = address
        .parse()
        .with_context(|| format!("{address:?} is not an address like 127.0.0.1:8080"))?;
    let listener = bind(address).with_context(|| format!("listening on {address}"))?;
    let app = Router::new()
        .route("/events/{topic}", get(subscribe))
        .route("/publish/{topic}", post(publish))
        .with_state(Arc::new(Topics::default()));
    let listener = listener.tap_io(|connection| {
        // A connection without it works, only later.
        let _ = connection.set_nodelay(true);
    });
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = axum::serve(listener, app) => result?,
        // Streams have no end to wait for: they are cut, and their clients reconnect.
        _ = terminate.recv() => {}
    }
    Ok(())
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn subscribe(
    State(topics): State<Arc<Topics>>,
    Path(topic): Path<String>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let open = stream::once(async { Event::default().comment("open") });
    let events = BroadcastStream::new(topics.subscribe(topic)).map(|received| match received {
        Ok(message) => Event::default()
            .id(message.id.to_string())
            .data(&message.data),
        Err(BroadcastStreamRecvError::Lagged(missed)) => {
            Event::default().event("gap").data(missed.to_string())
        }
    });
    Sse::new(open.chain(events).map(Ok)).keep_alive(KeepAlive::default())
}

async fn publish(
    State(topics): State<Arc<Topics>>,
    Path(topic): Path<String>,
    data: String,
) -> String {
    topics.publish(&topic, data).to_string()
}

impl Topics {
    fn subscribe(&self, topic: String) -> broadcast::Receiver<Arc<Message>> {
        let mut topics = lock(&self.0);
        let topic = topics.entry(topic).or_insert_with(|| {
            Arc::new(Topic {
                sender: broadcast::Sender::new(TOPIC_EVENTS_MAX),
                last_id: Mutex::new(0),
            })
        });
        topic.sender.subscribe()
    }

    /// Returns the number of streams that the event was sent to.
    fn publish(&self, name: &str, data: String) -> usize {
        let topic = {
            let mut topics = lock(&self.0);
            match topics.get(name) {
                Some(topic) if topic.sender.receiver_count() > 0 => Arc::clone(topic),
                _ => {
                    topics.remove(name);
                    return 0;
                }
            }
        };
        let mut id = lock(&topic.last_id);
        *id += 1;
        topic
            .sender
            .send(Arc::new(Message { id: *id, data }))
            .unwrap_or(0)
    }
}

/// No code panics while it holds one of the locks, so the guarded data is sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
