//! Two ways to do the same, measured in turns: the cost of one in units of the other.
//!
//! A machine that is shared, or that changes its clock rate, slows both in the same round; the
//! median over the rounds forgets the few in which it did not. So the ratio is worth more than the
//! figures that it is made of.

use std::io;
use std::time::Duration;

use super::cost::Cost;

/// Rounds of every ratio: odd, so that there is a median.
const ROUNDS: usize = 101;

/// Rounds that are thrown away: buffers grow and caches fill in them.
const WARM_UP: usize = 3;

/// Whether this run is to measure. `cargo bench` asks for it; `cargo test --benches` runs each
/// bench once.
pub(crate) fn wanted() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Runs `ours` and `bare` in turns and prints, for processor and wall time, `ratio NAME ours:bare
/// MEDIAN`.
pub(crate) fn print(
    name: &str,
    sides: &str,
    mut ours: impl FnMut() -> io::Result<Cost>,
    mut bare: impl FnMut() -> io::Result<Cost>,
) -> io::Result<()> {
    let mut cpu = Vec::with_capacity(ROUNDS);
    let mut wall = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        // The second of a pair runs with the caches of the first.
        let (ours, bare) = if round % 2 == 0 {
            let ours = ours()?;
            (ours, bare()?)
        } else {
            let bare = bare()?;
            (ours()?, bare)
        };
        if round >= WARM_UP {
            cpu.push(divide(ours.cpu, bare.cpu));
            wall.push(divide(ours.wall, bare.wall));
        }
    }
    for (clock, mut ratios) in [("cpu", cpu), ("wall", wall)] {
        ratios.sort_unstable_by(f64::total_cmp);
        let at = |quarter: usize| ratios[(ratios.len() - 1) * quarter / 4];
        println!(
            "ratio {name}/{clock} {sides} {:.2} quartiles {:.2} {:.2} rounds {ROUNDS}",
            at(2),
            at(1),
            at(3)
        );
    }
    Ok(())
}

fn divide(ours: Duration, bare: Duration) -> f64 {
    ours.as_secs_f64() / bare.as_secs_f64()
}
