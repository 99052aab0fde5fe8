//! Whatever happens to nodes, to the server and to what is between them, in any order, as long as the
//! log loses nothing: each event once, on every stream, and no gap.

use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use crate::course::Course;
use crate::nodes::Nodes;
use crate::proxy::Proxy;
use crate::scale::Scale;
use crate::server::{Keeps, Server};
use crate::streams::Hops;
use crate::support::wait_until;

const TOPICS: u32 = 6;

/// Nodes, each with a way of its own to the server.
struct Stage {
    server: Server,
    proxies: Vec<Proxy>,
    nodes: Nodes,
    dice: Rng,
}

impl Stage {
    fn set(count: usize, seed: u64) -> Self {
        let server = Server::start(Keeps::Written, &[]);
        let proxies: Vec<Proxy> = (0..count).map(|_| Proxy::to(server.address())).collect();
        let logs: Vec<String> = proxies.iter().map(Proxy::url).collect();
        Self {
            nodes: Nodes::start(&logs, &["--drain-period", "100ms"]),
            dice: Rng::with_seed(seed),
            server,
            proxies,
        }
    }

    fn pause(&mut self, ms: std::ops::Range<u64>) {
        thread::sleep(Duration::from_millis(self.dice.u64(ms)));
    }

    /// One thing happens, and ends. Its name.
    fn happens(&mut self) -> &'static str {
        let index = self.dice.usize(..self.nodes.len());
        match self.dice.u8(..11) {
            0 => {
                self.nodes.kill(index);
                self.pause(0..1_000);
                self.nodes.restart(index);
                "a node is killed"
            }
            1 => {
                self.nodes.stop(index);
                self.nodes.restart(index);
                "a node is stopped"
            }
            2 => {
                self.nodes.at(index).signal(Signal::STOP);
                self.pause(100..4_000);
                self.nodes.at(index).signal(Signal::CONT);
                "a node stands still"
            }
            3 => {
                // It may be refused, such as while the log is away.
                self.nodes.at(index).signal(Signal::USR2);
                "a node is upgraded"
            }
            4 => {
                self.proxies[index].cut();
                "connections are cut"
            }
            5 => {
                let bytes = self.dice.u64(1..20_000);
                self.proxies[index].cut_after(bytes);
                "a reply is cut off"
            }
            6 => {
                let new_too = self.dice.bool();
                self.proxies[index].hold(new_too);
                self.pause(100..6_000);
                self.proxies[index].release();
                "connections stand still"
            }
            7 => {
                let delay = Duration::from_millis(self.dice.u64(..300));
                self.proxies[index].delay(delay);
                "replies are late"
            }
            8 => {
                self.server.pause();
                self.pause(100..6_000);
                self.server.resume();
                "the server stands still"
            }
            9 => {
                self.server.kill();
                self.pause(0..1_000);
                self.server.restart();
                "the server is killed"
            }
            _ => {
                self.proxies[index].hold(true);
                let other = (index + 1) % self.nodes.len();
                self.nodes.kill(other);
                self.pause(0..3_000);
                self.nodes.restart(other);
                self.proxies[index].release();
                "a node is cut off while another one is killed"
            }
        }
    }
}

#[test]
fn whatever_happens_each_event_comes_once() {
    let scale = Scale::or(20, 40, 300);
    let mut stage = Stage::set(3, scale.seed);
    let mut course = Course::new("chaos", scale, TOPICS, &stage.nodes);
    course.open(scale.streams / 2, &Hops::Never);
    course.open(scale.streams / 2, &Hops::Every(500..3_000));
    course.publish(6, 1, true);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(scale.seconds) {
        let what = stage.happens();
        println!("chaos: {:?}: {what}", began.elapsed());
        stage.pause(0..1_500);
    }
    for proxy in &stage.proxies {
        proxy.delay(Duration::ZERO);
        proxy.cut_after(u64::MAX);
    }
    let before = course.publishers().published();
    wait_until("it is published again", || {
        course.publishers().published() > before + 100
    });
    let verdict = course.end(&stage.nodes, &stage.server, |_| false);
    assert_eq!(verdict.gaps(), 0);
    verdict.assert_all_published();
}
