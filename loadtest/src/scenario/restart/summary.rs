//! One line that says how a restart went.

use crate::cli::RestartArgs;
use crate::outcome::{Outcome, Unit};
use crate::units;

/// The line.
pub(super) fn line(outcome: &Outcome, args: &RestartArgs) -> String {
    let value = |name: &str| {
        let figure = outcome.figures.iter().find(|figure| figure.name == name);
        figure.map_or(f64::NAN, |figure| figure.value)
    };
    let count = |name: &str| units::show(value(name), Unit::Count);
    let time = |name: &str| units::show(value(name), Unit::Seconds);
    let events = units::show(value("events") + value("publishes_failed"), Unit::Count);
    format!(
        "{} × {}, {} streams, {} events/s: lost {}, doubled {}, out of order {}, told by {} gaps {} (untold {}; short {}, \
         wide {}, needless {}); streams cut {}, dead {}; of {events} publishes failed {}, longest wait {}; longest silence {}, \
         pause {}; history lost {}, told {}; took {}",
        args.kind,
        count("restarts"),
        count("streams"),
        args.rate,
        count("lost"),
        count("doubled"),
        count("out_of_order"),
        count("gap_events"),
        count("gap_told"),
        count("untold"),
        count("gaps_short"),
        count("gaps_wide"),
        count("gaps_needless"),
        count("cut"),
        count("dead"),
        count("publishes_failed"),
        time("longest_publish_wait"),
        time("longest_silence"),
        time("pause"),
        count("history_lost"),
        count("history_gap_told"),
        time("restart_took"),
    )
}
