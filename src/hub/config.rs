//! The checked settings of a hub. Holds no secret.

use std::num::NonZero;
use std::time::Duration;

use crate::core::delivery::{GAP_SPREAD_MS, ShardConfig, TurnBudget};
use crate::core::desk::DeskConfig;
use crate::core::event::{EventId, OrderMark};
use crate::core::history::{HistoryLimits, HoldLimits, SlowConsumerPolicies};
use crate::core::idempotency::KeyLimits;
use crate::core::limits::EventLimits;
use crate::core::places::Share;
use crate::core::selector::Selector;

/// Default of [`HubConfig::catch_up_max`]: a client would rather be told a gap than wait longer.
pub const CATCH_UP_MAX: Duration = Duration::from_secs(2);

/// Where a hub's ids come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// From this node.
    #[default]
    Local,
    /// From a log, which orders the events of several nodes.
    Log {
        /// The birth of the log's order, a random number. All its nodes have the same mark.
        birth: u128,
        /// The history begins above this id. A cursor of the order up to there is known, and its
        /// events are evicted.
        floor: EventId,
    },
}

/// The checked settings of a hub and its shards.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Delivery shards.
    pub shards: NonZero<usize>,
    /// Settings of each shard; `index` is set by the hub.
    pub shard: ShardConfig,
    /// Bounds on the history.
    pub history: HistoryLimits,
    /// Where ids come from.
    pub order: Order,
    /// Time without the log after which the node is not ready; zero = never.
    pub log_lost_unready: Duration,
    /// Longest wait of a client whose cursor is ahead of this node until the node has caught up
    /// with the log. No setting.
    pub catch_up_max: Duration,
    /// Bounds on the idempotency keys.
    pub keys: KeyLimits,
    /// Bounds on one hold of the lock. No setting: each is a fraction of a millisecond.
    pub hold: HoldLimits,
    /// Bounds on one event and on one subscription.
    pub event_limits: EventLimits,
    /// The definition of a client, and the bound on its streams.
    pub clients: Share,
    /// Policies for slow streams.
    pub slow_consumer: SlowConsumerPolicies,
    /// Most bytes held for clients beside the history.
    pub memory_bytes: usize,
    /// Time over which a drain ends the open streams.
    pub drain_period: Duration,
    /// Most distinct patterns of all streams and their grants.
    pub patterns_max: usize,
    /// Most distinct patterns of one client that its tokens do not name; 0 = no bound.
    pub patterns_per_address_max: usize,
    /// Topics and patterns whose events are logged.
    pub traces: TracesConfig,
}

impl HubConfig {
    /// The config of the desk.
    pub(super) fn desk(&self, mark: OrderMark) -> DeskConfig {
        DeskConfig {
            history: self.history,
            hold: self.hold,
            slow_consumer: self.slow_consumer.clone(),
            mark,
            keys: self.keys,
        }
    }
}

impl Default for HubConfig {
    /// The defaults of the settings, with one shard.
    fn default() -> Self {
        Self {
            shards: NonZero::<usize>::MIN,
            shard: ShardConfig {
                index: 0,
                heartbeat_ms: 15_000,
                write_timeout_ms: 30_000,
                gap_spread_ms: GAP_SPREAD_MS,
                retry_ms: None,
                mailbox_batches: 1_024,
                mailbox_bytes: 16 << 20,
                budget: TurnBudget::default(),
            },
            history: HistoryLimits::default(),
            order: Order::Local,
            log_lost_unready: Duration::from_secs(30),
            catch_up_max: CATCH_UP_MAX,
            keys: KeyLimits::default(),
            hold: HoldLimits::default(),
            event_limits: EventLimits {
                has_subscriber_keys: false,
                ..EventLimits::default()
            },
            clients: Share::default(),
            slow_consumer: SlowConsumerPolicies::default(),
            memory_bytes: 256 << 20,
            drain_period: Duration::from_secs(5),
            patterns_max: 2_000,
            patterns_per_address_max: 100,
            traces: TracesConfig::default(),
        }
    }
}

/// The checked settings of [traces](super::Traces).
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// Traced from the start.
    pub selectors: Vec<Selector>,
    /// Most traced at once.
    pub max: usize,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            selectors: Vec::new(),
            max: 16,
        }
    }
}
