//! Whether one of a token's selectors matches a topic. Every step is counted and the work is done
//! in portions, so that no token makes others wait.
//!
//! Clients choose both a token's templates and the topics to compare, and the product may take
//! seconds. No lock is held here; after each portion, other tasks have a turn on this thread.

use thiserror::Error;

use crate::core::selector::Selector;

/// Steps before other tasks have a turn on this thread: some 200 µs, and at most as much again for
/// the match that exceeds them.
const STEPS_A_TURN: usize = 200_000;

/// It took more than the setting `publish_check_steps_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "comparing its topics with the token's templates takes more than {0} steps (`publish_check_steps_max`): publish it \
     with fewer or shorter topics, or with a token of fewer or simpler templates"
)]
pub(crate) struct TooMuch(pub(crate) usize);

/// The comparisons so far.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    steps: usize,
    turn_ends_at: usize,
}

impl Reach {
    /// Steps so far.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// Whether one of the selectors matches.
    pub(crate) async fn any(&mut self, selectors: &[Selector], topic: &str) -> bool {
        // The count never reaches this limit.
        self.any_within(selectors, topic, usize::MAX)
            .await
            .unwrap_or(false)
    }

    /// Whether one of the selectors matches, or `None` once more than `end` steps were made in all.
    pub(crate) async fn any_within(
        &mut self,
        selectors: &[Selector],
        topic: &str,
        end: usize,
    ) -> Option<bool> {
        for selector in selectors {
            if self.steps >= self.turn_ends_at {
                let is_first = self.turn_ends_at == 0;
                self.turn_ends_at = self.steps + STEPS_A_TURN;
                if !is_first {
                    tokio::task::yield_now().await;
                }
            }
            self.steps += 1;
            // The prefix excludes nearly all selectors of a long list.
            if !topic.starts_with(selector.prefix()) {
                continue;
            }
            let (matches, steps) = selector.matches_in_steps(topic);
            self.steps += steps;
            if matches {
                return Some(true);
            }
            if self.steps > end {
                return None;
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::selector::Syntax;
    use crate::hub::turns::run;

    #[test]
    fn others_have_a_turn_after_each_portion_and_what_is_too_much_is_not_done() {
        let hostile: Vec<Selector> = (0..50)
            .map(|n| {
                let text = format!("{}{{end{n}}}x", "{a,b}".repeat(15));
                Selector::parse(&text, Syntax::Mercure, 1_024).expect("a template")
            })
            .collect();
        let topic = format!("{}\u{7f}x", ",".repeat(900));
        let mut reach = Reach::default();
        let (matches, turns) = run(reach.any(&hostile, &topic));
        assert!(!matches, "the topic has a character that no value has");
        let (steps, steps_of_one) = (reach.steps(), reach.steps() / 50);
        assert!(steps > 10 * STEPS_A_TURN, "{steps}");
        assert!(
            turns >= steps / (STEPS_A_TURN + steps_of_one) - 1,
            "{turns} turns"
        );

        let mut reach = Reach::default();
        let (matches, _) = run(reach.any_within(&hostile, &topic, 5 * steps_of_one));
        assert_eq!(matches, None);
        let taken = reach.steps();
        assert!(taken <= 7 * steps_of_one, "{taken} of {steps}");

        // Selectors of other topics cost a step each.
        let other = vec![Selector::exact("other"); 500];
        let mut reach = Reach::default();
        assert_eq!(run(reach.any(&other, &topic)), (false, 0));
        assert_eq!(reach.steps(), 500);
    }
}
