//! A program with a node inside: it publishes from Rust, reads the event over HTTP as a browser
//! would, and ends the node.
//!
//! `cargo run --example embed`

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use fantail::{Event, Node, Settings};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    // Ports that are free, on this machine only. `Settings::default()` has the ports of the program
    // `fantail`.
    let settings = Settings {
        history_events: 100,
        drain_period: Duration::ZERO,
        ..Settings::on_free_ports()
    };
    let node = Node::start(settings).await?;
    let http = node.addresses().http;

    let hub = node.hub();
    let event = Event::new("news", "hello from Rust").name("greeting");
    let receipt = hub.publish(event).await?;
    println!("published {}", receipt.id);

    // The history is read from its start, so it does not matter which of the two came first.
    let reader = tokio::task::spawn_blocking(move || first_event(http));
    for line in reader.await?? {
        println!("{line}");
    }

    let cut = node.drain().await;
    println!("the node has ended, {cut} streams were cut");
    Ok(())
}

/// The lines of the first event of a stream.
fn first_event(http: SocketAddr) -> std::io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let request = "GET /events/news?last_event_id=earliest HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let lines = BufReader::new(stream).lines();
    let mut event = lines.skip_while(|line| !matches!(line, Ok(line) if line == "event: greeting"));
    event.by_ref().take(2).collect()
}
