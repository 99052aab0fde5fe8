//! Publishing, and waiting until every stream has its events.

use std::time::{Duration, Instant};

use super::Session;
use crate::crew::Crew;
use crate::gauge::Stretch;
use crate::progress::Stage;
use crate::publisher::fate::Published;
use crate::publisher::recipe::Recipe;
use crate::publisher::{Endurance, Publisher};
use crate::scenario::ScenarioError;
use crate::target::TargetError;

/// The fate of events that were published back to back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// From their due time to the last delivery; `None` if there was none.
    pub(crate) took: Option<Duration>,
    /// Streams that wait in vain.
    pub(crate) behind: usize,
    /// Deliveries.
    pub(crate) deliveries: u64,
}

/// What became of events that were published at full speed.
pub(crate) struct FullSpeed {
    /// Events a second that the server took.
    pub(crate) rate: f64,
    /// Their fate.
    pub(crate) published: Published,
    /// CPU time of the server and of the clients.
    pub(crate) stretch: Stretch,
}

impl Session {
    /// Ways to publish, as the user gave them, each to all nodes.
    pub(crate) fn ways(&self) -> &[Vec<Recipe>] {
        &self.ways
    }

    /// Connects to the first way in, unless that was done before: to all nodes if each topic stays
    /// on one connection then, or else to the first one. Only so are the events of a topic in order.
    pub(crate) fn connect_publisher(&mut self) -> Result<(), ScenarioError> {
        if self.publisher.is_none() {
            let recipes = self.ways.first().ok_or(TargetError::Publish)?;
            let connections = match self.layout.pool().is_multiple_of(recipes.len()) {
                true => recipes.len(),
                false => 1,
            };
            self.publisher = Some(self.publisher(recipes, connections)?);
        }
        Ok(())
    }

    /// Connects to every way in, each with topics of its own, by connections that are made anew
    /// when they break.
    pub(crate) fn connect_each_way(&mut self, endurance: Endurance) -> Result<(), ScenarioError> {
        let recipes: Vec<Recipe> = self.ways.iter().flatten().cloned().collect();
        self.connect_each(&recipes, endurance)
    }

    /// Connects to every node by the usual way in, or by all that the user gave, with so many
    /// connections each, each with topics of its own. Connections that break are made anew, to
    /// another node if theirs takes none.
    pub(crate) fn connect_all_nodes(
        &mut self,
        connections: usize,
        endurance: Endurance,
    ) -> Result<(), ScenarioError> {
        let mut recipes = self.chosen_recipes();
        let others = recipes.clone();
        for (number, recipe) in recipes.iter_mut().enumerate() {
            let (before, after) = others.split_at(number);
            // So the publishers of a node that is gone do not all go to the same one.
            recipe.stand_ins(&[after, before].concat());
        }
        let links = recipes.len() * connections;
        let recipes: Vec<Recipe> = recipes.into_iter().cycle().take(links).collect();
        self.connect_each(&recipes, endurance)
    }

    fn connect_each(
        &mut self,
        recipes: &[Recipe],
        endurance: Endurance,
    ) -> Result<(), ScenarioError> {
        self.publisher = Some(Publisher::connect_each(
            recipes,
            &self.layout,
            self.run,
            self.target.data_bytes,
            self.timeout,
            endurance,
        )?);
        Ok(())
    }

    /// The recipes of the usual way in, or of all that the user gave.
    fn chosen_recipes(&self) -> Vec<Recipe> {
        let ways = match self.target.publish.is_empty() {
            true => &self.ways[..self.ways.len().min(1)],
            false => &self.ways,
        };
        ways.iter().flatten().cloned().collect()
    }

    /// A publisher over `connections` connections, by each of the recipes in turn.
    pub(crate) fn publisher(
        &self,
        recipes: &[Recipe],
        connections: usize,
    ) -> Result<Publisher, ScenarioError> {
        Ok(Publisher::connect(
            recipes,
            &self.layout,
            self.run,
            self.target.data_bytes,
            self.timeout,
            connections.max(1),
        )?)
    }

    /// Uses another publisher from now on, which continues the numbering of the last one's events.
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

    /// Publishes as fast as the server takes it, and waits until every stream has its events.
    pub(crate) fn full_speed(
        &mut self,
        time: Duration,
        stage: &Stage,
        name: &str,
    ) -> Result<FullSpeed, ScenarioError> {
        let watch = self.watch();
        let start = Instant::now();
        let (publisher, crew) = self.publishing()?;
        let mut failed = None;
        publisher.full_speed(time, |_| {
            stage.at(start.elapsed().as_secs());
            failed = failed.take().or(crew.look().err());
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        let took = start.elapsed();
        let stretch = self.stop(watch, name);
        let published = self.published()?;
        self.settle()?;
        Ok(FullSpeed {
            rate: published.taken as f64 / took.as_secs_f64().max(1e-9),
            published,
            stretch,
        })
    }

    /// Events published until now.
    pub(crate) fn events(&self) -> u64 {
        self.publisher.as_ref().map_or(0, Publisher::events)
    }

    /// The fate of the events since the last time.
    pub(crate) fn published(&mut self) -> Result<Published, ScenarioError> {
        self.tell_refused()?;
        let (publisher, _) = self.publishing()?;
        let published = publisher.take();
        self.taken += published.taken;
        self.refused += published.refused;
        self.failed += published.failed;
        if published.failed > 0 {
            let text = "publishing without an answer";
            self.recorder.reason(text.to_owned(), published.failed);
        }
        for (text, count) in &published.reasons {
            self.recorder
                .reason(format!("publishing was answered {text}"), *count);
        }
        Ok(published)
    }

    /// Reports the refused events to the client processes, so that they do not wait for them.
    fn tell_refused(&mut self) -> Result<(), ScenarioError> {
        let Some(publisher) = &mut self.publisher else {
            return Ok(());
        };
        let refused = publisher.take_refused();
        if !refused.is_empty() {
            self.crew.refused(&refused)?;
        }
        Ok(())
    }

    /// Publishes events back to back and waits until every stream has them.
    pub(crate) fn round(&mut self, events: u64) -> Result<Round, ScenarioError> {
        let before = self.crew.look()?.received;
        self.connect_publisher()?;
        let total = self.events() + events;
        self.crew.expect(total)?;
        let start = crate::stamp::now();
        let (publisher, _) = self.publishing()?;
        let published = publisher.burst(events);
        self.tell_refused()?;
        let (last, behind) = self.crew.reached(|_| {})?;
        published?;
        Ok(Round {
            took: (last > start).then(|| crate::stamp::since(start, last)),
            behind,
            deliveries: self.deliveries() - before,
        })
    }

    /// Waits until every stream has every event that was published, or waits in vain.
    pub(crate) fn settle(&mut self) -> Result<(), ScenarioError> {
        let stage = Stage::counted("waiting for the last deliveries", self.open as u64);
        let events = self.events();
        self.tell_refused()?;
        self.crew.expect(events)?;
        self.crew
            .reached(|progress| stage.at(progress.reached as u64))?;
        Ok(())
    }
}
