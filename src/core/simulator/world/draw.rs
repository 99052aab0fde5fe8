//! The world that a seed draws.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;

use crate::core::delivery::{ShardConfig, Shared};
use crate::core::desk::{Desk, DeskConfig, Line};
use crate::core::history::{
    HistoryLimits, SlowConsumerPolicies, SlowConsumerPolicy, SlowConsumerRule,
};
use crate::core::idempotency::KeyLimits;
use crate::core::places::Share;
use crate::core::presence::Presence;
use crate::metrics::Totals;

use super::super::inbox;
use super::super::names::{self, TOPICS, name};
use super::super::network::Network;
use super::super::oracle::{MARK, Rights};
use super::keys::KeyOracle;
use super::restart::Settings;
use super::{BIRTH_MS, CLIENTS, Client, WRITE_TIMEOUT_MS, World};

impl World {
    pub(in super::super) fn new(seed: u64) -> Self {
        let mut dice = Rng::with_seed(seed);
        let limits = HistoryLimits {
            events: dice.usize(0..12),
            bytes: dice.usize(50..2_000),
            age_ms: dice.u64(50..10_000),
            budget_bytes: dice.usize(500..12_000),
        };
        let config = ShardConfig {
            index: 0,
            heartbeat_ms: dice.u64(20..3_000),
            write_timeout_ms: WRITE_TIMEOUT_MS,
            gap_spread_ms: if dice.bool() { 0 } else { dice.u64(1..500) },
            retry_ms: dice.bool().then_some(2_000),
            mailbox_batches: 0,
            mailbox_bytes: 0,
            budget: inbox::small_budget(&mut dice, CLIENTS),
        };
        let plain = dice.u8(..10) < 3;
        let mut not_plain = || !plain && dice.bool();
        let (several, private, mixed) = (not_plain(), not_plain(), not_plain());
        let all_policies = [
            SlowConsumerPolicy::Disconnect,
            SlowConsumerPolicy::Skip,
            SlowConsumerPolicy::Latest,
        ];
        let one = all_policies[dice.usize(..3)];
        let mut policy = || {
            if mixed {
                all_policies[dice.usize(..3)]
            } else {
                one
            }
        };
        let slow_consumer = SlowConsumerPolicies {
            default: policy(),
            rules: (0..TOPICS)
                .map(|topic| SlowConsumerRule {
                    prefix: name(topic),
                    policy: policy(),
                })
                .collect(),
        };
        let desk = DeskConfig {
            history: limits,
            hold: inbox::hold_limits(&mut dice),
            slow_consumer,
            mark: MARK,
            keys: KeyLimits {
                window_ms: dice.u64(50..10_000),
                count: dice.usize(1..12),
            },
        };
        let clients = Share {
            streams: if dice.bool() { 100 } else { 0 },
            ..Share::default()
        };
        let settings = Settings {
            desk,
            shard: config,
            clients,
        };
        let presence = Presence::new(&limits, settings.clients.clone(), || {});
        let desk = Desk::new(settings.desk.clone(), settings.places(), presence, BIRTH_MS);
        let shared = Shared::new(desk);
        let clients = (0..CLIENTS)
            .map(|_| {
                let most = if dice.bool() { 1 } else { TOPICS };
                let granted = if dice.bool() { 0 } else { 3 };
                let rights = Rights {
                    selectors: names::choose(&mut dice, 1, most),
                    grant: names::choose(&mut dice, 0, granted),
                };
                Client {
                    rights,
                    connection: None,
                    cursor: None,
                }
            })
            .collect();
        let shards = settings.shards(&mut dice, &shared, &Totals::default());
        let mailbox_max = dice.usize(1..8);
        Self {
            shards,
            drain: dice.u8(..10) == 0,
            has_log: dice.u8(..3) == 0,
            dice,
            settings,
            shared,
            network: Network::default(),
            clients,
            all: Vec::new(),
            keys: KeyOracle::default(),
            saved: None,
            holes: Vec::new(),
            past_holes: Vec::new(),
            clock_ms: BIRTH_MS,
            started_ms: BIRTH_MS,
            wires: 0,
            several,
            private,
            totals: super::Totals::default(),
            guards: Arc::new(()),
            parked: Arc::default(),
            mailbox_max,
            line: Line::default(),
            waiting: BTreeMap::new(),
            woken: Vec::new(),
            publishers: 0,
            questions: Vec::new(),
        }
    }
}
