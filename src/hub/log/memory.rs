//! A log in memory, for tests: several hubs of one process share it.
//!
//! It can be put away, lose answers, be trimmed and lose its newest entries, and the tail of each
//! hub can be held back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::{
    AppendError, Applied, Away, BoxFuture, Item, Log, LogState, Outcome, Record, RosterPage,
    RosterPlace,
};
use crate::clock::unix_ms;
use crate::core::event::EventId;
use crate::core::history::{Hole, HoleCause};
use crate::core::presence::{Listed, RosterChange};
use crate::hub::{Closed, Hub, HubConfig, Order};

/// Entries that a tail applies at once.
const PAGE: usize = 512;

/// When a client is told to come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The log. Cheap to clone.
#[derive(Clone)]
pub struct MemoryLog(Arc<Shared>);

struct Shared {
    birth: u128,
    state: Mutex<State>,
    /// Changed whenever the state is.
    changes: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    last: EventId,
    /// All entries up to here are gone.
    trimmed: EventId,
    is_away: Option<Instant>,
    /// Appends are done, and not answered.
    loses_answers: bool,
    /// Appends that are refused from now on.
    refuses: usize,
    batches: u64,
    newest_asked: u64,
    /// The rosters of the nodes, by their names: lines by UUID.
    rosters: BTreeMap<u64, BTreeMap<Uuid, String>>,
}

#[derive(Clone)]
struct Entry {
    id: EventId,
    what: Content,
    /// The batch that it is of, and its number in it.
    token: Option<(u64, usize)>,
}

#[derive(Clone)]
enum Content {
    Item(Item),
    /// What was between the two is lost.
    Fork {
        after: EventId,
        through: EventId,
    },
}

/// One hub's access to the log.
pub struct MemoryNode {
    name: u64,
    shared: Arc<Shared>,
    /// The tail stops here while it is held back.
    held_at: Mutex<Option<usize>>,
    is_stale: AtomicBool,
    is_silent: AtomicBool,
    pending: Mutex<HashMap<u64, Pending>>,
    applied: Mutex<EventId>,
    is_closed: Mutex<bool>,
}

/// A batch that waits until it is applied.
struct Pending {
    outcomes: Vec<Option<Outcome>>,
    answer: oneshot::Sender<Result<Vec<Outcome>, AppendError>>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new(0x6ba7_b810_9dad_41d1_80b4_00c0_4fd4_30c8)
    }
}

impl MemoryLog {
    /// An empty log with this birth.
    #[must_use]
    pub fn new(birth: u128) -> Self {
        Self(Arc::new(Shared {
            birth,
            state: Mutex::default(),
            changes: watch::Sender::new(0),
        }))
    }

    /// The config of a hub that follows it from its first kept entry on.
    #[must_use]
    pub fn config(&self, config: HubConfig) -> HubConfig {
        let floor = self.0.state.lock().trimmed;
        HubConfig {
            order: Order::Log {
                birth: self.0.birth,
                floor,
            },
            ..config
        }
    }

    /// Makes a hub follow the log, by a task of this runtime.
    #[must_use]
    pub fn join(&self, hub: &Hub, runtime: &Handle) -> Arc<MemoryNode> {
        let node = Arc::new(MemoryNode {
            name: self.0.change(|state| {
                let name = state.rosters.len() as u64;
                state.rosters.insert(name, BTreeMap::new());
                name
            }),
            shared: Arc::clone(&self.0),
            held_at: Mutex::default(),
            is_stale: AtomicBool::default(),
            is_silent: AtomicBool::default(),
            pending: Mutex::default(),
            applied: Mutex::new(hub.head()),
            is_closed: Mutex::new(false),
        });
        hub.set_log(Arc::clone(&node) as Arc<dyn Log>);
        let (tail, hub) = (Arc::clone(&node), hub.clone());
        runtime.spawn(async move { tail.follow(hub).await });
        node
    }

    /// The log can be neither read nor written, or can be again.
    pub fn set_away(&self, is_away: bool) {
        self.0
            .change(|state| state.is_away = is_away.then(Instant::now));
    }

    /// Appends are done and their answers lost, or no longer.
    pub fn lose_answers(&self, loses: bool) {
        self.0.change(|state| state.loses_answers = loses);
    }

    /// Refuses the next appends.
    pub fn refuse_next(&self, appends: usize) {
        self.0.change(|state| state.refuses = appends);
    }

    /// Appends what an application wrote.
    pub fn write(&self, item: Item) -> EventId {
        self.0.change(|state| state.push(Content::Item(item), None))
    }

    /// Removes all entries up to `id`.
    pub fn trim(&self, id: EventId) {
        self.0.change(|state| {
            state.entries.retain(|entry| entry.id > id);
            state.trimmed = state.trimmed.max(id);
        });
    }

    /// Loses all entries above `after`, and goes on above them. Returns the end of the hole.
    pub fn fork(&self, after: EventId) -> EventId {
        self.0.change(|state| {
            state.entries.retain(|entry| entry.id <= after);
            let through = state.last.after();
            state.last = through;
            state.push(Content::Fork { after, through }, None);
            through
        })
    }

    /// The newest id.
    #[must_use]
    pub fn last(&self) -> EventId {
        self.0.state.lock().last
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().entries.len()
    }

    /// Whether it has no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of times that a node has asked for the newest id.
    #[must_use]
    pub fn newest_asked(&self) -> u64 {
        self.0.state.lock().newest_asked
    }
}

impl Shared {
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state.lock());
        self.changes.send_modify(|number| *number += 1);
        changed
    }
}

impl State {
    fn push(&mut self, what: Content, token: Option<(u64, usize)>) -> EventId {
        self.last = self.last.next(unix_ms());
        let id = self.last;
        self.entries.push_back(Entry { id, what, token });
        id
    }

    fn away(&self) -> Result<(), Away> {
        self.is_away.map_or(Ok(()), |_| Err(away()))
    }
}

fn away() -> Away {
    Away {
        retry_after: RETRY_AFTER,
        why: "the log is away".to_owned(),
    }
}

/// The next work of a tail.
enum Step {
    Wait,
    Apply(Vec<Entry>),
    Break(Hole),
}

impl MemoryNode {
    /// Holds the tail back, or lets it go on.
    pub fn hold_back(&self, is_held: bool) {
        *self.held_at.lock() = is_held.then_some(0);
        self.shared.change(|_| ());
    }

    /// Whether it is told that its last entry is the newest, as one is that has not left a server
    /// which has lost the log.
    pub fn set_stale(&self, is_stale: bool) {
        self.is_stale.store(is_stale, Ordering::Relaxed);
    }

    /// Whether its questions are not answered, as those to a server that stands still are not.
    pub fn set_silent(&self, is_silent: bool) {
        self.is_silent.store(is_silent, Ordering::Relaxed);
    }

    /// Lets a tail that is held back apply so many entries.
    pub fn step(&self, entries: usize) {
        if let Some(left) = &mut *self.held_at.lock() {
            *left += entries;
        }
        self.shared.change(|_| ());
    }

    /// The last entry that was applied.
    #[must_use]
    pub fn applied(&self) -> EventId {
        *self.applied.lock()
    }

    async fn follow(&self, hub: Hub) {
        let mut changes = self.shared.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let done = match self.next(hub.head()) {
                Step::Wait => {
                    tokio::select! {
                        // The sender lives as long as this node.
                        _ = changes.changed() => {}
                        () = hub.0.gate.stopped() => return self.close(),
                    }
                    Ok(())
                }
                Step::Break(hole) => hub.break_off(hole).await,
                Step::Apply(entries) => self.apply(&hub, entries).await,
            };
            if done.is_err() {
                return self.close();
            }
        }
    }

    fn next(&self, head: EventId) -> Step {
        let state = self.shared.state.lock();
        let mut held = self.held_at.lock();
        let most = held.unwrap_or(PAGE);
        if state.is_away.is_some() || most == 0 {
            return Step::Wait;
        }
        if state.trimmed > head {
            return Step::Break(Hole {
                after: head,
                through: state.trimmed,
                cause: HoleCause::Trimmed,
            });
        }
        let new = state.entries.iter().filter(|entry| entry.id > head);
        let mut entries = Vec::new();
        for entry in new.take(most) {
            match entry.what {
                Content::Fork { after, through } if through > head => {
                    if entries.is_empty() {
                        self.lose();
                        return Step::Break(Hole {
                            after: after.min(head),
                            through,
                            cause: HoleCause::Forked,
                        });
                    }
                    break;
                }
                _ => entries.push(entry.clone()),
            }
        }
        if entries.is_empty() {
            return Step::Wait;
        }
        if let Some(left) = &mut *held {
            *left -= entries.len();
        }
        Step::Apply(entries)
    }

    async fn apply(&self, hub: &Hub, entries: Vec<Entry>) -> Result<(), Closed> {
        let tokens: Vec<_> = entries.iter().map(|entry| entry.token).collect();
        let last = entries.last().map(|entry| entry.id);
        let entries = entries.into_iter().map(|entry| Applied {
            id: entry.id,
            what: match entry.what {
                Content::Item(item) => item,
                Content::Fork { .. } => Item::Pass,
            },
            is_promised: entry.token.is_some(),
        });
        let outcomes = hub.apply(entries.collect()).await?;
        *self.applied.lock() = last.unwrap_or_default();
        for (token, outcome) in tokens.into_iter().zip(outcomes) {
            if let Some((batch, number)) = token {
                self.settle(batch, number, outcome);
            }
        }
        Ok(())
    }

    fn settle(&self, batch: u64, number: usize, outcome: Outcome) {
        let mut pending = self.pending.lock();
        let Some(waiting) = pending.get_mut(&batch) else {
            return;
        };
        waiting.outcomes[number] = Some(outcome);
        if waiting.outcomes.iter().all(Option::is_some)
            && let Some(waiting) = pending.remove(&batch)
        {
            let outcomes = waiting.outcomes.into_iter().flatten().collect();
            // A publisher that has gone away needs no answer.
            let _ = waiting.answer.send(Ok(outcomes));
        }
    }

    /// Nothing is known of the batches that wait.
    fn lose(&self) {
        for (_, waiting) in self.pending.lock().drain() {
            let _ = waiting.answer.send(Err(AppendError::Unknown(away())));
        }
    }

    fn close(&self) {
        *self.is_closed.lock() = true;
        for (_, waiting) in self.pending.lock().drain() {
            let _ = waiting.answer.send(Err(Closed.into()));
        }
    }

    async fn put(
        &self,
        items: Vec<Item>,
        changes: Vec<RosterChange>,
    ) -> Result<Vec<Outcome>, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.shared.change(|state| {
            state.away().map_err(AppendError::NotPublished)?;
            if *self.is_closed.lock() {
                return Err(Closed.into());
            }
            if state.refuses > 0 {
                state.refuses -= 1;
                return Err(AppendError::NotPublished(away()));
            }
            let roster = state.rosters.entry(self.name).or_default();
            for change in changes {
                match change {
                    RosterChange::Enters { id, line } => roster.insert(id, line),
                    RosterChange::Leaves { id } => roster.remove(&id),
                };
            }
            state.batches += 1;
            let batch = state.batches;
            let is_answered = !state.loses_answers;
            let outcomes = vec![None; items.len()];
            for (number, item) in items.into_iter().enumerate() {
                let token = is_answered.then_some((batch, number));
                state.push(Content::Item(item), token);
            }
            if !is_answered {
                return Err(AppendError::Unknown(Away {
                    why: "the log did not answer in time".to_owned(),
                    ..away()
                }));
            }
            let pending = Pending { outcomes, answer };
            self.pending.lock().insert(batch, pending);
            Ok(())
        })?;
        answered.await.unwrap_or(Err(Closed.into()))
    }
}

impl Log for MemoryNode {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>> {
        Box::pin(self.put(records.into_iter().map(Item::Event).collect(), Vec::new()))
    }

    fn announce(
        &self,
        records: Vec<Record>,
        changes: Vec<RosterChange>,
    ) -> BoxFuture<'_, Result<Vec<Outcome>, AppendError>> {
        Box::pin(self.put(records.into_iter().map(Item::Event).collect(), changes))
    }

    fn roster(&self, from: RosterPlace) -> BoxFuture<'_, Result<RosterPage, Away>> {
        Box::pin(async move {
            let state = self.shared.state.lock();
            state.away()?;
            let mut rosters = state.rosters.range(from.node..);
            let Some((name, roster)) = rosters.next() else {
                return Ok(RosterPage::default());
            };
            let is_behind = |id: &Uuid| *name != from.node || Some(*id) > from.after;
            let mut lines = roster.iter().filter(|(id, _)| is_behind(id));
            let listed: Vec<_> = lines
                .by_ref()
                .take(PAGE)
                .filter_map(|(_, line)| Listed::parse(line))
                .collect();
            let next = match (lines.next(), listed.last()) {
                (Some(_), Some(last)) => Some(RosterPlace {
                    node: *name,
                    after: Some(last.id()),
                }),
                _ => rosters.next().map(|(node, _)| RosterPlace {
                    node: *node,
                    after: None,
                }),
            };
            Ok(RosterPage {
                node: *name,
                listed,
                next,
            })
        })
    }

    fn subscriber(&self, id: Uuid) -> BoxFuture<'_, Result<Option<Listed>, Away>> {
        Box::pin(async move {
            let state = self.shared.state.lock();
            state.away()?;
            let mut rosters = state.rosters.values();
            let line = rosters.find_map(|roster| roster.get(&id));
            Ok(line.and_then(|line| Listed::parse(line)))
        })
    }

    fn print_of(&self, _: EventId) -> Option<u64> {
        None
    }

    fn roster_name(&self) -> u64 {
        self.name
    }

    fn erase(&self, topic: &str) -> BoxFuture<'_, Result<usize, AppendError>> {
        let item = Item::Erase(topic.into());
        Box::pin(async move {
            let outcomes = self.put(vec![item], Vec::new()).await?;
            Ok(match outcomes[..] {
                [Outcome::Erased(count)] => count,
                _ => 0,
            })
        })
    }

    fn newest(&self) -> BoxFuture<'_, Result<EventId, Away>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if self.is_silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            let mut state = self.shared.state.lock();
            state.newest_asked += 1;
            let last = if self.is_stale.load(Ordering::Relaxed) {
                self.applied()
            } else {
                state.last
            };
            state.away().map(|()| last)
        })
    }

    fn state(&self) -> LogState {
        let state = self.shared.state.lock();
        let applied = self.applied();
        let behind = state.entries.iter().filter(|entry| entry.id > applied);
        match (state.is_away, behind.count() as u64) {
            (Some(since), _) => LogState::Away { since },
            (None, 0) => LogState::Live {
                lag: Duration::ZERO,
            },
            (None, behind) => LogState::Refilling { behind },
        }
    }
}
