//! Publishing, and waiting until every stream has its events.

use std::time::Duration;

use super::Session;
use crate::crew::Crew;
use crate::progress::Stage;
use crate::publisher::recipe::Recipe;
use crate::publisher::{Published, Publisher};
use crate::scenario::ScenarioError;
use crate::target::TargetError;

/// Most publishing connections.
const CONNECTIONS_MAX: usize = 10_000;

impl Session {
    /// Ways in, as the user gave them.
    pub(crate) fn recipes(&self) -> &[Recipe] {
        &self.recipes
    }

    /// Bytes of data of an event.
    pub(crate) fn data_bytes(&self) -> usize {
        self.target.data_bytes
    }

    /// Connects to the first way in, unless that was done before.
    pub(crate) fn connect_publisher(&mut self) -> Result<(), ScenarioError> {
        if self.publisher.is_none() {
            let recipe = self.recipes.first().ok_or(TargetError::Publish)?.clone();
            self.publisher = Some(self.publisher(&recipe, 1)?);
        }
        Ok(())
    }

    /// A publisher over so many connections.
    pub(crate) fn publisher(
        &self,
        recipe: &Recipe,
        connections: usize,
    ) -> Result<Publisher, ScenarioError> {
        Ok(Publisher::connect(
            recipe,
            &self.layout,
            self.run,
            self.target.data_bytes,
            self.timeout,
            connections.clamp(1, CONNECTIONS_MAX),
        )?)
    }

    /// Uses another publisher from now on; its events go on counting where the last one's ended.
    pub(crate) fn use_publisher(&mut self, mut publisher: Publisher) {
        if let Some(before) = &self.publisher {
            publisher.go_on_from(before.events());
        }
        self.publisher = Some(publisher);
    }

    /// The publisher, with the client processes, which are asked while it works.
    pub(crate) fn publishing(&mut self) -> Result<(&mut Publisher, &mut Crew), ScenarioError> {
        self.connect_publisher()?;
        let publisher = self.publisher.as_mut().ok_or(TargetError::Publish)?;
        Ok((publisher, &mut self.crew))
    }

    /// Events published until now.
    pub(crate) fn events(&self) -> u64 {
        self.publisher.as_ref().map_or(0, Publisher::events)
    }

    /// What became of the events since the last time; streams are told of refused ones.
    pub(crate) fn published(&mut self) -> Result<Published, ScenarioError> {
        let (publisher, crew) = self.publishing()?;
        let published = publisher.take();
        if !published.refused_events.is_empty() {
            crew.refused(&published.refused_events)?;
        }
        for (text, count) in &published.reasons {
            self.recorder
                .reason(format!("publishing was answered {text}"), *count);
        }
        Ok(published)
    }

    /// Publishes events back to back and waits until every stream has them; gives the time to the last delivery, and the deliveries.
    pub(crate) fn round(&mut self, events: u64) -> Result<(Duration, u64), ScenarioError> {
        let before = self.crew.look()?.received;
        self.connect_publisher()?;
        let total = self.events() + events;
        self.crew.expect(total)?;
        let start = crate::stamp::now();
        let (publisher, _) = self.publishing()?;
        publisher.burst(events)?;
        let (last, _) = self.crew.reached(|_| {})?;
        Ok((crate::stamp::since(start, last), self.deliveries() - before))
    }

    /// Waits until every stream has every event that was published, or waits in vain.
    pub(crate) fn settle(&mut self) -> Result<(), ScenarioError> {
        let stage = Stage::counted("waiting for the last deliveries", self.open as u64);
        let events = self.events();
        self.crew.expect(events)?;
        self.crew
            .reached(|progress| stage.at(progress.reached as u64))?;
        Ok(())
    }
}
