//! The longest stop of a node in each row of the table in docs/BENCHMARKS.md, and of a bare lock.
//!
//! `cargo xtask stops`, or `cargo bench --bench stops [PART OF A NAME]`.

use std::io;
use std::thread;
use std::time::Duration;

/// The program's own.
#[path = "../src/main/allocator.rs"]
mod allocator;

mod workload {
    pub(crate) mod sockets;
    pub(crate) mod stops;
}

use workload::stops::{self, CASES, Scale, Stop};

/// Noise only adds to a wait: the shortest of the longest waits of these rounds is nearest to the
/// node's own part.
const ROUNDS: usize = 3;

/// Freed memory goes back to the system this often, as in the program.
const UPKEEP_PAUSE: Duration = Duration::from_secs(1);

fn main() -> io::Result<()> {
    let part = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .unwrap_or_default();
    thread::spawn(|| {
        loop {
            thread::sleep(UPKEEP_PAUSE);
            allocator::collect();
        }
    });
    println!("longest wait of {ROUNDS} rounds each: the shortest of them, and the longest\n");
    println!(
        "{:<56} {:>17} {:>17}",
        "", "for the lock, ms", "for a turn, ms"
    );
    for case in CASES {
        if !case.name().contains(&part) {
            continue;
        }
        let rounds = (0..ROUNDS).map(|_| stops::run(case, Scale(1)));
        let rounds = rounds.collect::<io::Result<Vec<Stop>>>()?;
        let text = |of: fn(&Stop) -> Duration| {
            let ms = |wait: Option<Duration>| wait.unwrap_or_default().as_secs_f64() * 1_000.0;
            let least = ms(rounds.iter().map(of).min());
            let most = ms(rounds.iter().map(of).max());
            if most == 0.0 {
                return String::new();
            }
            format!("{least:.2} ({most:.2})")
        };
        println!(
            "{:<56} {:>17} {:>17}",
            case.name(),
            text(|stop| stop.lock),
            text(|stop| stop.turn)
        );
    }
    Ok(())
}
