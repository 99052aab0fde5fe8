//! Panics, as log lines.
//!
//! The standard hook writes text to standard error itself: among JSON lines, and it blocks when nobody reads them.

use std::panic::{self, PanicHookInfo};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{FLUSH_MAX, flush};

/// Shortest time between two lines about one place.
const LINE_PERIOD: Duration = Duration::from_secs(60);
/// Most places in the code that are remembered; beyond, the oldest is forgotten.
const PLACES_MAX: usize = 64;

/// Places in the code that panicked, and when that was last logged.
static LOGGED: Mutex<Vec<(String, Instant)>> = Mutex::new(Vec::new());

/// Reports the panics of this process by its log from now on: of each place in the code at most one a minute, since a client may
/// have found a way to cause them.
pub(super) fn hook() {
    panic::set_hook(Box::new(report));
}

fn report(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let place = place.unwrap_or_default();
    if !is_due(&mut LOGGED.lock(), &place, Instant::now()) {
        return;
    }
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(
        thread,
        place,
        "a thread panicked, which is a defect: {message}"
    );
    // The process may be about to end.
    flush(FLUSH_MAX);
}

fn is_due(logged: &mut Vec<(String, Instant)>, place: &str, now: Instant) -> bool {
    let recent = |at: Instant| now.saturating_duration_since(at) < LINE_PERIOD;
    if logged
        .iter()
        .any(|(known, at)| known == place && recent(*at))
    {
        return false;
    }
    logged.retain(|(known, _)| known != place);
    if logged.len() >= PLACES_MAX {
        logged.remove(0);
    }
    logged.push((place.to_owned(), now));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_logged_once_a_minute() {
        let mut logged = Vec::new();
        let start = Instant::now();
        assert!(is_due(&mut logged, "a", start));
        assert!(!is_due(&mut logged, "a", start));
        assert!(is_due(&mut logged, "b", start));
        assert!(is_due(&mut logged, "a", start + LINE_PERIOD));
        for place in 0..1_000 {
            assert!(is_due(&mut logged, &place.to_string(), start));
        }
        assert_eq!(logged.len(), PLACES_MAX);
    }
}
