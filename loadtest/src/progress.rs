//! Progress for people while it runs: bars on a terminal, a line per stage elsewhere. All of it on
//! standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::{console, units};

/// One stage of a run.
pub(crate) struct Stage {
    bar: ProgressBar,
}

/// Bars move so often a second.
const STEADY: Duration = Duration::from_millis(200);

impl Stage {
    /// A stage with a known number of steps.
    pub(crate) fn counted(text: &str, total: u64) -> Self {
        let style =
            "{msg:32} {wide_bar} {human_pos:>9} of {human_len}  {whole_per_sec:>9}  {eta} left";
        Self::new(text, ProgressBar::new(total), style)
    }

    /// A stage with a known time, in seconds.
    pub(crate) fn timed(text: &str, seconds: u64) -> Self {
        let style = "{msg:32} {wide_bar} {elapsed} of {len} s";
        Self::new(text, ProgressBar::new(seconds), style)
    }

    /// A stage of unknown length.
    pub(crate) fn open_ended(text: &str) -> Self {
        Self::new(
            text,
            ProgressBar::new_spinner(),
            "{msg:32} {spinner} {elapsed}",
        )
    }

    fn new(text: &str, bar: ProgressBar, style: &str) -> Self {
        if let Ok(style) = ProgressStyle::with_template(style) {
            // The built-in rate has four decimals.
            let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}/s", units::count(state.per_sec() as u64));
            };
            bar.set_style(style.with_key("whole_per_sec", rate).progress_chars("━╸ "));
        }
        bar.set_message(text.to_owned());
        bar.enable_steady_tick(STEADY);
        Self { bar }
    }

    /// Sets the number of steps done.
    pub(crate) fn at(&self, position: u64) {
        self.bar.set_position(position);
    }

    /// Ends the stage; one line stays.
    pub(crate) fn done(self, line: &str) {
        self.bar.finish_and_clear();
        console::err(line);
    }

    /// A line above the bar.
    pub(crate) fn line(&self, line: &str) {
        self.bar.suspend(|| console::out(line));
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
