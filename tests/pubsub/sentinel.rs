//! Sentinels that make another server the master.

use fantail::metrics::PubSubLoss;

use crate::redis_server::Redis;
use crate::server::Sentinels;
use crate::source::Source;
use crate::support::wait_until;

#[test]
fn the_source_moves_to_the_master_that_sentinels_name() {
    let (master, replica) = (Redis::empty(), Redis::empty());
    replica.follow(&master);
    let sentinels = Sentinels::watch(&master, 1);
    let addresses = sentinels.addresses();
    let hosts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let url = format!("redis+sentinel://{}/{}", hosts.join(","), Sentinels::NAME);
    let source = Source::start(&url, &["in"], &[]);
    let mut stream = source.subscribe("in");
    master.publish("in", "before");
    stream.read_until("\n\n", "data: before\n");
    sentinels.failover();
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
