//! Failovers: a replica takes the place of its master, with and without loss.

use std::time::Duration;

use crate::course::{Course, KEY, entries, field};
use crate::id::Id;
use crate::judge::Fate;
use crate::nodes::Nodes;
use crate::scale::Scale;
use crate::server::{Keeps, Sentinels, Server, ask};
use crate::streams::Hops;
use crate::support::sse::SseStream;
use crate::support::wait_until;

const TOPICS: u32 = 4;

/// The user of replicas, so that a master can lock them out.
const REPLICAS: &str = "replicas on >pw +psync +replconf +ping";

/// Longest time without a publication over a failover without loss: some two seconds, and room for a
/// busy machine.
const PAUSE: Duration = Duration::from_secs(20);

/// A master with a replica, and three Sentinels that watch them.
pub(crate) struct Watched {
    pub(crate) master: Server,
    pub(crate) replica: Server,
    sentinels: Sentinels,
}

impl Watched {
    pub(crate) fn start() -> Self {
        let user: Vec<&str> = REPLICAS.split(' ').collect();
        let arguments = [
            &["--user"],
            &user[..],
            &["--masteruser", "replicas", "--masterauth", "pw"],
        ];
        let arguments = arguments.concat();
        let master = Server::start(Keeps::Written, &arguments);
        let replica = Server::start(Keeps::Written, &arguments);
        replica.follow(&master);
        let sentinels = Sentinels::watch(&master, 1);
        Self {
            master,
            replica,
            sentinels,
        }
    }

    /// The address of the log, as the nodes have it.
    pub(crate) fn url(&self) -> String {
        let hosts: Vec<String> = self
            .sentinels
            .addresses()
            .iter()
            .map(ToString::to_string)
            .collect();
        format!("redis+sentinel://{}/{}", hosts.join(","), Sentinels::NAME)
    }

    /// The replica gets nothing more, and stays.
    pub(crate) fn cut_replica(&self) {
        let mut connection = self.master.connection();
        ask::<()>(&mut connection, &["ACL", "SETUSER", "replicas", "off"]);
        ask::<i64>(&mut connection, &["CLIENT", "KILL", "TYPE", "replica"]);
        wait_until("the replica is cut off", || {
            let info: String = self.replica.ask(&["INFO", "replication"]);
            info.contains("master_link_status:down")
        });
    }

    /// The master is held until the replica has all of it; then Sentinel promotes the replica.
    pub(crate) fn fail_over(&self) {
        let mut master = self.master.connection();
        ask::<()>(&mut master, &["CLIENT", "PAUSE", "20000", "WRITE"]);
        ask::<i64>(&mut master, &["WAIT", "1", "5000"]);
        wait_until("the replica has everything", || {
            let newest = |server: &Server| -> Vec<(String, Vec<String>)> {
                server.ask(&["XREVRANGE", KEY, "+", "-", "COUNT", "1"])
            };
            newest(&self.master) == newest(&self.replica)
        });
        self.sentinels.failover();
        self.wait_for_promotion();
    }

    pub(crate) fn wait_for_promotion(&self) {
        wait_until("the replica is the master", || {
            self.replica.is_master() && self.sentinels.master() == Some(self.replica.address())
        });
    }
}

/// The master dies with events that the replica does not have. The old master's ids were ahead, so
/// that new ones would lie below those that streams have.
#[test]
fn a_failover_with_loss_is_one_gap_for_each_stream_that_names_every_lost_event() {
    let scale = Scale::or(2, 24, 300);
    let mut watched = Watched::start();
    let nodes = Nodes::start(&vec![watched.url(); 3], &[]);
    let mut course = Course::new("unclean", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, true);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    watched.cut_replica();
    let mut master = watched.master.connection();
    let kept: Vec<(String, Vec<String>)> =
        watched
            .replica
            .ask(&["XREVRANGE", KEY, "+", "-", "COUNT", "1"]);
    let kept = Id::parse(&kept[0].0).expect("an id");
    let ahead = format!("{}-0", kept.ms() + 10_000);
    ask::<()>(&mut master, &["XSETID", KEY, &ahead]);
    // Of a second: Sentinel promotes no replica that was cut off for long.
    let more = scale.rate as usize;
    let before = course.publishers().published();
    wait_until("more is published", || {
        course.publishers().published() > before + more
    });
    let lost: Vec<(String, Vec<String>)> =
        ask(&mut master, &["XREVRANGE", KEY, "+", "-", "COUNT", "1"]);
    let lost = Id::parse(&lost[0].0).expect("an id");
    drop(master);
    watched.master.kill();
    watched.wait_for_promotion();
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 200
    });
    let verdict = course.end(&nodes, &watched.replica, |id| id > kept);
    let is_gone = |(number, fate): (&u64, &Fate)| match fate {
        Fate::Published(id) if verdict.log.place(*number).is_none() => Some(*id),
        _ => None,
    };
    let gone: Vec<Id> = verdict.fates.iter().filter_map(is_gone).collect();
    assert!(
        gone.len() > more * 4 / 5,
        "{} events were lost, of {lost}",
        gone.len()
    );
    for (number, one) in verdict.seen.iter().enumerate() {
        let gaps: Vec<_> = one.account.gaps().collect();
        let [gap] = &gaps[..] else {
            panic!("stream {number} was told {gaps:?}");
        };
        assert_eq!(gap.reason, "log", "stream {number}");
        let untold = gone.iter().find(|id| !(gap.from < **id && **id <= gap.to));
        assert_eq!(untold, None, "stream {number} was told {gap:?}");
    }
    // All nodes were told by the log itself. Those that had read different entries of the lost ones
    // may each have said so; the streams were told one gap.
    let forks = entries(&watched.replica, "-");
    let forks = forks
        .iter()
        .filter(|(_, fields)| field(fields, "fantail") == Some("fork"));
    assert!((1..=nodes.len()).contains(&forks.count()));
    // A node that was not there answers a lost cursor with a gap, and so do those that were.
    let late = Nodes::start(&[watched.url()], &[]);
    let mark = verdict.seen[0].marks.first().expect("a mark").clone();
    let middle = gone[gone.len() / 2];
    for node in [late.at(0), nodes.at(0)] {
        let cursor = format!("{middle}.{mark}");
        let mut stream = SseStream::resume(node.http, "/events/t0", &cursor);
        assert_eq!(stream.take(1)[0].event, "gap", "{cursor}");
    }
}

/// What the log lost and streams had been sent; it may be in the log again, elsewhere. Without any, a
/// failover is not told.
fn phantoms(verdict: &crate::course::Verdict) -> usize {
    let items = verdict.seen.iter().flat_map(|one| &one.account.items);
    let is_gone = |item: &&crate::judge::Item| match item {
        crate::judge::Item::Event(id, number) => verdict.log.place(*number) != Some(*id),
        crate::judge::Item::Gap(_) => false,
    };
    items.filter(is_gone).count()
}

#[test]
fn a_failover_without_loss_is_not_noticed() {
    let scale = Scale::or(2, 24, 300);
    let watched = Watched::start();
    let nodes = Nodes::start(&vec![watched.url(); 3], &[]);
    let mut course = Course::new("clean", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Every(1_000..3_000));
    course.publish(6, 1, false);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    watched.fail_over();
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 200
    });
    let verdict = course.end(&nodes, &watched.replica, |_| false);
    assert_eq!(verdict.gaps(), 0);
    let pause = verdict.answers[0].pause;
    println!("clean: {pause:?} without a publication");
    assert!(pause < PAUSE, "{pause:?} without a publication");
}

/// `FAILOVER`, without any Sentinel: the nodes know both servers, and find out which one leads.
#[test]
fn a_failover_by_the_master_itself_is_not_noticed() {
    let scale = Scale::or(2, 24, 300);
    let master = Server::start(Keeps::Written, &[]);
    let replica = Server::start(Keeps::Written, &[]);
    replica.follow(&master);
    let url = format!("redis://{},{}", master.address(), replica.address());
    let nodes = Nodes::start(&vec![url; 3], &[]);
    let mut course = Course::new("failover", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Every(1_000..3_000));
    course.publish(6, 1, true);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    let port = replica.address().port().to_string();
    master.ask::<()>(&["FAILOVER", "TO", "127.0.0.1", &port]);
    wait_until("they have changed places", || {
        replica.is_master() && master.is_replica()
    });
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 200
    });
    let verdict = course.end(&nodes, &replica, |_| false);
    assert_eq!(verdict.gaps(), 0);
    let pause = verdict.answers[0].pause;
    println!("failover: {pause:?} without a publication");
    assert!(pause < PAUSE, "{pause:?} without a publication");
}

/// `SENTINEL FAILOVER` alone: the old master takes events until it hears of its end, and loses
/// them.
#[test]
fn a_failover_that_nobody_prepared_loses_nothing_in_silence() {
    let scale = Scale::or(2, 24, 300);
    let watched = Watched::start();
    let nodes = Nodes::start(&vec![watched.url(); 3], &[]);
    let mut course = Course::new("forced", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, false);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    watched.sentinels.failover();
    watched.wait_for_promotion();
    wait_until("the old master follows", || watched.master.is_replica());
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 200
    });
    // The judge forgives a 200 for what streams were told to be lost, and nothing else.
    let verdict = course.end(&nodes, &watched.replica, |_| true);
    let is_gone = |(number, fate): (&u64, &Fate)| {
        matches!(fate, Fate::Published(_)) && verdict.log.place(*number).is_none()
    };
    let gone = verdict.fates.iter().filter(|fate| is_gone(*fate)).count();
    println!(
        "forced: {gone} events with a 200 are gone, {} were sent",
        phantoms(&verdict)
    );
    if gone + phantoms(&verdict) == 0 {
        assert_eq!(verdict.gaps(), 0);
    } else {
        // A node that leaves the old master later than the others has more to tell.
        for (number, one) in verdict.seen.iter().enumerate() {
            let gaps = one.account.gaps().count();
            assert!(
                (1..=nodes.len()).contains(&gaps),
                "stream {number} was told {gaps} gaps"
            );
        }
    }
}

/// Each 200 waits for the replica. The master is killed under load.
#[test]
fn with_an_answer_of_a_replica_no_200_is_for_an_event_that_is_lost() {
    let scale = Scale::or(3, 24, 300);
    let mut watched = Watched::start();
    let flags = ["--log-ack-replicas", "1"];
    let nodes = Nodes::start(&vec![watched.url(); 3], &flags);
    let mut course = Course::new("wait", scale, TOPICS, &nodes);
    course.open(scale.streams, &Hops::Never);
    course.publish(6, 1, true);
    std::thread::sleep(Duration::from_secs(scale.seconds));
    watched.master.kill();
    watched.wait_for_promotion();
    // A node that asked a moment too early would follow the old master, until Sentinel demotes it.
    wait_until("all nodes follow the new master", || {
        let clients: String = watched.replica.ask(&["CLIENT", "LIST"]);
        clients.matches(" cmd=xread").count() == nodes.len()
    });
    // Without a replica nothing is answered with 200. Sentinel makes one of it.
    watched.master.restart();
    wait_until("the old master follows", || watched.master.is_replica());
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 200
    });
    let verdict = course.end(&nodes, &watched.replica, |_| false);
    if phantoms(&verdict) == 0 {
        assert_eq!(verdict.gaps(), 0);
    }
}
