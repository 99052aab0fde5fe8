//! What every client must have got or been told in the end.

use std::collections::BTreeSet;

use crate::core::event::EventId;

use super::client::Client;
use super::node::Node;
use super::world::{Totals, World};

pub(super) fn check(world: &World, totals: &mut Totals) {
    let lives = || world.nodes.iter().chain(&world.ended);
    let in_log: Vec<(EventId, u64)> = world.servers[world.servers.len() - 1].ever.clone();
    let in_log_now: BTreeSet<u64> = in_log.iter().map(|(_, event)| *event).collect();
    let answered: BTreeSet<u64> = lives()
        .flat_map(|node| node.answered.iter().copied())
        .collect();
    totals.answered += answered.len();
    for client in &world.clients {
        totals.gaps += client.gaps.len();
        let concerns = |id: EventId, event: u64| {
            client.cursor.is_some()
                && (id > client.joined || world.published[event as usize] > client.joined_at)
        };
        for (id, event) in &in_log {
            if concerns(*id, *event) {
                assert!(
                    client.has(*id, *event),
                    "client {} neither got event {event} ({id}) nor was told of it",
                    client.number
                );
            }
        }
        for node in lives() {
            for (id, event) in &node.applied {
                if in_log_now.contains(event) || !answered.contains(event) || !concerns(*id, *event)
                {
                    continue;
                }
                totals.lost += 1;
                if client.has(*id, *event) {
                    continue;
                }
                if is_told_by_floor(world, client, *id) || is_excused(world, *id, *event) {
                    totals.excused += 1;
                    continue;
                }
                panic!(
                    "client {} neither got event {event} ({id}), which the log lost, nor was told of it",
                    client.number
                );
            }
        }
    }
    totals.breaks += lives().map(|node| node.breaks).sum::<usize>();
    if world.faults.lose_nothing() {
        totals.without_gap += 1;
        for client in &world.clients {
            assert!(
                client.gaps.is_empty(),
                "client {}: {:?}",
                client.number,
                client.gaps
            );
        }
    }
}

/// The client came to a node that has nothing from before, not even the marker that tells of the
/// loss. It was told that nothing is known from its cursor on, which was above what was lost.
fn is_told_by_floor(world: &World, client: &Client, id: EventId) -> bool {
    let lives = world.nodes.iter().chain(&world.ended);
    let mut forks = lives.flat_map(|node| node.forks.iter());
    forks.any(|(from, marker)| {
        let is_it = *from < id && id <= *marker;
        let is_told = |(cursor, floor): &(EventId, EventId)| cursor < marker && marker <= floor;
        is_it && client.floors.iter().any(is_told)
    })
}

/// All nodes that had the event ended before they noticed that the log has lost it, or the log has
/// lost what they said of it, too.
fn is_excused(world: &World, id: EventId, event: u64) -> bool {
    let had = |node: &&Node| node.applied.contains(&(id, event));
    let kept = &world.servers[world.servers.len() - 1].forks;
    let is_kept = |marker: &EventId| kept.iter().any(|(_, id)| id == marker);
    let is_told = |(from, to): &(EventId, EventId)| *from < id && id <= *to && is_kept(to);
    let told = |node: &Node| node.forks.iter().any(is_told);
    !world.nodes.iter().any(|node| had(&node)) && !world.ended.iter().filter(had).any(told)
}
