//! Sentinels that make another server the master.

use std::fs;
use std::process::{Child, Command, Stdio};

use fantail::metrics::PubSubLoss;

use crate::redis_server::Redis;
use crate::source::Source;
use crate::support::free_port::free_address;
use crate::support::wait_until;

struct Sentinel {
    process: Child,
    port: u16,
    _config: tempfile::TempDir,
}

impl Sentinel {
    /// A Sentinel of a service `m`.
    fn of(master: &Redis) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("sentinel.conf");
        let (port, of) = (free_address().port(), master.address.port());
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor m 127.0.0.1 {of} 1\n\
             sentinel down-after-milliseconds m 500\nsentinel failover-timeout m 3000\n"
        );
        fs::write(&path, text).expect("written");
        let process = Command::new("redis-server")
            .arg(&path)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("redis-server: {error} (install redis-server)"));
        Self {
            process,
            port,
            _config: directory,
        }
    }

    fn ask(&self, words: &[&str]) -> Option<redis::Value> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port));
        let mut connection = client.expect("a URL").get_connection().ok()?;
        redis::cmd("SENTINEL")
            .arg(words)
            .query(&mut connection)
            .ok()
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_source_moves_to_the_master_that_sentinels_name() {
    let master = Redis::start();
    let port = master.address.port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
    let sentinel = Sentinel::of(&master);
    wait_until("the Sentinel knows its master", || {
        sentinel.ask(&["get-master-addr-by-name", "m"]).is_some()
    });
    let url = format!("redis+sentinel://127.0.0.1:{}/m", sentinel.port);
    let source = Source::start(&url, &["in"], &[]);
    let mut stream = source.subscribe("in");
    master.publish("in", "before");
    stream.read_until("\n\n", "data: before\n");
    // Refused until the Sentinel knows the replica.
    wait_until("the failover begins", || {
        sentinel.ask(&["failover", "m"]).is_some()
    });
    wait_until("the source has left the former master", || {
        source.metrics().lost[PubSubLoss::Orphaned as usize].get() > 0
    });
    wait_until("a message of the new master arrives", || {
        replica.publish("in", "after");
        source.metrics().messages[1].get() > 1
    });
    let text = stream.read_until("\n\n", "data: after\n");
    assert!(text.contains("\"reason\":\"upstream\""), "{text}");
}
