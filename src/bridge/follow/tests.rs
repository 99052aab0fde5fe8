use super::*;
use crate::core::history::HoleCause;

const BIRTH: u128 = 7;

fn id(ms: u64) -> EventId {
    EventId::new(ms << 20)
}

/// A follower, and the answers that a test gives it.
struct Script(Follower<()>);

impl Script {
    fn new(start: Start) -> Self {
        Self(Follower::new(BIRTH, start))
    }

    /// The next step that asks the log; those before it that concern the node.
    fn next(&mut self) -> (Vec<Step<()>>, Step<()>) {
        let mut done = Vec::new();
        loop {
            // Facts are asked once: the clock stands still.
            let step = self.0.next(self.0.facts_at.unwrap_or_else(Instant::now), 0);
            match step {
                Step::Apply(_) | Step::Break(_) | Step::Doubt { .. } | Step::Live { .. } => {
                    self.0.answer(Answer::Done);
                    done.push(step);
                }
                asked => return (done, asked),
            }
        }
    }

    /// The holes that were told before the next question.
    fn holes(&mut self) -> Vec<Hole> {
        let hole = |step| match step {
            Step::Break(hole) => Some(hole),
            _ => None,
        };
        self.next().0.into_iter().filter_map(hole).collect()
    }

    fn facts(&mut self, first: u64, last: u64, added: u64, turns: u64) {
        let (_, asked) = self.next();
        assert_eq!(asked, Step::AskFacts);
        self.0.answer(Answer::Facts(Facts {
            birth: Some(BIRTH),
            server: 1,
            reign: 1,
            first: Some(id(first)),
            last: id(last),
            added: Some(added),
            length: last - first + 1,
            turns: Some(turns),
        }));
    }

    fn page(&mut self, entries: &[(u64, Option<Marker>)]) {
        let (_, asked) = self.next();
        assert!(matches!(asked, Step::AskPage { .. }), "{asked:?}");
        let entry = |(ms, marker): &(u64, Option<Marker>)| Entry {
            id: id(*ms),
            print: *ms,
            marker: *marker,
            payload: (),
        };
        self.0.answer(Answer::Page {
            entries: entries.iter().map(entry).collect(),
            is_end: true,
        });
    }

    /// One that has read the entries 1 to 3 of a log, the last of which names the server.
    fn live() -> Self {
        let mut script = Self::new(Start::Above(EventId::ZERO));
        script.facts(1, 3, 3, 1);
        script.page(&[(1, None), (2, None), (3, TERM)]);
        assert!(matches!(script.next().1, Step::Wait { .. }));
        script.0.answer(Answer::Woken);
        script
    }

    /// The same when its newest entry is not where it was.
    fn judging() -> Self {
        let mut script = Self::live();
        script.page(&[(9, None)]);
        script
    }
}

const TERM: Option<Marker> = Some(Marker::Term { server: 1 });

#[test]
fn a_log_that_was_cut_right_below_the_next_entry_has_lost_nothing() {
    let mut script = Script::judging();
    script.facts(5, 6, 5, 1);
    script.page(&[(5, None), (6, None)]);
    assert_eq!(script.holes(), []);
}

#[test]
fn what_was_cut_off_before_it_was_read_is_told() {
    let mut script = Script::judging();
    script.facts(5, 6, 6, 1);
    script.page(&[(5, None), (6, None)]);
    let hole = Hole {
        after: id(3),
        through: id(5).before(),
        cause: HoleCause::Trimmed,
    };
    assert_eq!(script.holes(), [hole]);
}

#[test]
fn if_a_marker_was_cut_off_that_may_have_told_a_loss_everything_is_told() {
    let mut script = Script::judging();
    script.facts(5, 6, 6, 2);
    script.page(&[(5, None), (6, None)]);
    let hole = Hole {
        after: EventId::ZERO,
        through: id(5).before(),
        cause: HoleCause::Forked,
    };
    assert_eq!(script.holes(), [hole]);
}

#[test]
fn a_stream_that_was_deleted_and_begun_again_is_not_one_that_was_cut() {
    let mut script = Script::judging();
    // It has added less than was read, and all of it is above the newest entry that was read.
    script.facts(5, 6, 2, 1);
    script.page(&[(5, None), (6, None)]);
    assert!(matches!(
        script.next().1,
        Step::Append {
            marker: Marker::Fork {
                after: EventId::ZERO,
                ..
            },
            ..
        }
    ));
}

#[test]
fn an_entry_that_was_removed_after_the_first_facts_is_missed() {
    let mut script = Script::new(Start::Above(EventId::ZERO));
    script.facts(1, 3, 3, 1);
    script.page(&[(1, None), (3, TERM)]);
    let fork = Marker::Fork {
        after: id(1).before(),
        through: id(3).after(),
    };
    match script.next().1 {
        Step::Append { marker, .. } => assert_eq!(marker, fork),
        other => panic!("{other:?}"),
    }
}

/// The log refused it, because it had told as much, and somebody had removed that marker.
#[test]
fn a_marker_that_somebody_had_removed_was_asked_for_without_end() {
    let mut script = Script::new(Start::Above(EventId::ZERO));
    script.facts(1, 3, 3, 1);
    script.page(&[(1, None), (3, TERM)]);
    let mut asked = Vec::new();
    for _ in 0..2 {
        match script.next().1 {
            Step::Append {
                marker: Marker::Fork { through, .. },
                ..
            } => asked.push(through),
            other => panic!("{other:?}"),
        }
        script.0.answer(Answer::Appended);
        script.page(&[(3, TERM)]);
    }
    assert_eq!(asked, [id(3).after(), EventId::new(u64::MAX)]);
}

#[test]
fn a_marker_that_another_loss_took_away_is_told_again() {
    let mut script = Script::live();
    let fork = Marker::Fork {
        after: id(1),
        through: id(2),
    };
    script.page(&[(3, TERM), (4, Some(fork)), (5, TERM)]);
    script.next();
    script.0.disconnected();
    // The log goes on after its entry 3, without the marker.
    script.facts(1, 3, 3, 1);
    script.page(&[]);
    script.facts(1, 3, 3, 1);
    // It looks for the newest common entry (3, 5 and 4), and reads on from there.
    script.page(&[(3, TERM)]);
    script.page(&[]);
    script.page(&[]);
    script.page(&[(3, TERM)]);
    match script.next().1 {
        Step::Append {
            marker: Marker::Fork { after, .. },
            ..
        } => assert_eq!(after, id(1)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_broken_connection_is_not_said_to_be_live() {
    let mut script = Script::new(Start::Above(EventId::ZERO));
    script.facts(1, 3, 3, 1);
    script.page(&[(1, None), (2, None), (3, TERM)]);
    script.0.disconnected();
    let (done, asked) = script.next();
    assert_eq!(asked, Step::AskFacts);
    let is_live = |step: &Step<()>| matches!(step, Step::Live { .. });
    assert!(!done.iter().any(is_live), "{done:?}");
}

#[test]
fn the_removal_of_the_newest_entry_that_was_read_is_no_loss() {
    let mut script = Script::judging();
    let (_, asked) = script.next();
    assert_eq!(asked, Step::AskFacts);
    script.0.answer(Answer::Facts(Facts {
        birth: Some(BIRTH),
        server: 1,
        reign: 1,
        first: Some(id(1)),
        last: id(4),
        added: Some(4),
        length: 3,
        turns: Some(1),
    }));
    script.page(&[(4, None)]);
    assert_eq!(script.holes(), []);
    assert_eq!(script.0.live_on(), Some(1));
}

#[test]
fn a_number_that_was_not_compared_with_the_log_proves_nothing() {
    let mut script = Script::new(Start::Above(EventId::ZERO));
    script.facts(1, 1, 1, 0);
    // The stream was deleted and begun again before its page came: this is its first entry.
    script.page(&[(9, TERM)]);
    assert!(matches!(script.next().1, Step::Wait { .. }));
    script.0.answer(Answer::Woken);
    // Another came and was cut off, and this is the third.
    script.page(&[(12, None)]);
    script.facts(12, 12, 3, 1);
    script.page(&[(12, None)]);
    let hole = Hole {
        after: id(9),
        through: id(12).before(),
        cause: HoleCause::Trimmed,
    };
    assert_eq!(script.holes(), [hole]);
}

/// Each took the other's marker for one of another server, and appended its own: 1,300 a second.
#[test]
fn two_nodes_with_different_names_for_a_server_answered_each_other_without_end() {
    let mut script = Script::live();
    script.page(&[(3, TERM), (4, Some(Marker::Term { server: 2 }))]);
    assert_eq!(script.next().1, Step::Wait { after: id(4) });
    // On another connection it may be another server's after all.
    script.0.disconnected();
    script.facts(1, 4, 4, 2);
    script.page(&[(4, Some(Marker::Term { server: 2 }))]);
    let asked = script.next().1;
    assert!(matches!(asked, Step::Append { .. }), "{asked:?}");
}

/// Another server had the log in between. What this one lost of that is told by no marker but a new one.
#[test]
fn a_server_that_is_the_master_again_was_taken_for_named_by_a_marker_of_its_first_time() {
    let mut script = Script::new(Start::Above(EventId::ZERO));
    script.facts(1, 4, 4, 2);
    let other = Some(Marker::Term { server: 2 });
    script.page(&[(1, None), (2, TERM), (3, other), (4, None)]);
    let asked = script.next().1;
    assert!(matches!(asked, Step::Append { .. }), "{asked:?}");
    script.0.answer(Answer::Appended);
    // Another node gives it another name meanwhile.
    script.page(&[(4, None), (5, TERM), (6, Some(Marker::Term { server: 3 }))]);
    assert_eq!(script.next().1, Step::Wait { after: id(6) });
}

/// The other one had it for too short a time to be read.
#[test]
fn a_server_that_was_left_for_a_moment_is_named_anew() {
    let mut script = Script::live();
    for server in [2, 1] {
        script.0.disconnected();
        assert_eq!(script.next().1, Step::AskFacts);
        let facts = script.0.facts.expect("facts");
        let reign = facts.reign + 1;
        let facts = Facts {
            server,
            reign,
            ..facts
        };
        script.0.answer(Answer::Facts(facts));
    }
    script.page(&[(3, TERM)]);
    let asked = script.next().1;
    assert!(matches!(asked, Step::Append { .. }), "{asked:?}");
}

/// Its process may have lost entries meanwhile, and have given their ids to others.
#[test]
fn a_server_that_may_have_been_a_replica_is_named_anew() {
    for reign in [1, 2] {
        let mut script = Script::live();
        script.page(&[(3, TERM)]);
        assert_eq!(script.next().1, Step::Wait { after: id(3) });
        script.0.disconnected();
        assert_eq!(script.next().1, Step::AskFacts);
        let facts = script.0.facts.expect("facts");
        script.0.answer(Answer::Facts(Facts { reign, ..facts }));
        script.page(&[(3, TERM)]);
        let asked = script.next().1;
        let is_named = !matches!(asked, Step::Append { .. });
        assert_eq!(is_named, reign == 1, "{asked:?}");
    }
}

/// Each told its part, and streams were told as many gaps.
#[test]
fn of_nodes_that_had_read_more_or_less_of_what_was_lost_each_told_a_loss() {
    let mut marked = None;
    // The entries from 4 on are lost. The second node had read more of them.
    for newest in [4, 900] {
        let mut script = Script::live();
        script.page(&[(3, TERM), (newest, None)]);
        assert_eq!(script.next().1, Step::Wait { after: id(newest) });
        script.0.disconnected();
        let log = [Some((1, None)), Some((2, None)), Some((3, TERM)), marked];
        let log: Vec<(u64, Option<Marker>)> = log.into_iter().flatten().collect();
        loop {
            match script.next().1 {
                Step::AskFacts => script.0.answer(Answer::Facts(Facts {
                    birth: Some(BIRTH),
                    server: 2,
                    reign: 2,
                    first: Some(id(1)),
                    last: id(log[log.len() - 1].0),
                    added: Some(log.len() as u64),
                    length: log.len() as u64,
                    turns: Some(log.len() as u64 - 2),
                })),
                Step::AskPage { from } => {
                    let kept = log.iter().filter(|(ms, _)| id(*ms) >= from);
                    script.page(&kept.copied().collect::<Vec<_>>());
                }
                // Its clock stands at 0, far below the ids.
                Step::Append { id, marker } if marked.is_none() => {
                    marked = Some((id.unix_ms(), Some(marker)));
                    break;
                }
                asked => {
                    let Step::Append { marker, .. } = asked else {
                        panic!("{asked:?}");
                    };
                    // It goes on behind the first one's marker, and names the server.
                    assert_eq!(marker, Marker::Term { server: 2 });
                    break;
                }
            }
        }
    }
}
