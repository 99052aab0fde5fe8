//! The words above groups of figures.

use crate::outcome::{Figure, Group};

/// Above latencies, which belong to no group of figures.
pub(super) const LATENCY: &str = "Latency";

impl Group {
    /// The heading, for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Streams => "Streams",
            Self::Truth => "Truth",
            Self::Delivery => "Delivery",
            Self::Publishing => "Publishing",
            Self::Memory => "Memory",
            Self::Server => "Server",
            Self::Generator => "Load generator",
        }
    }
}

/// The heading in a comparison, where one value stands for all rounds.
pub(super) fn compared(group: Group) -> &'static str {
    match group {
        Group::Truth => "Truth, worst round",
        other => other.title(),
    }
}

/// The figures under their groups, groups in their order, figures in theirs.
pub(super) fn grouped(figures: &[Figure]) -> Vec<(Group, Vec<&Figure>)> {
    let mut sorted: Vec<&Figure> = figures.iter().collect();
    sorted.sort_by_key(|figure| figure.group);
    sorted
        .chunk_by(|a, b| a.group == b.group)
        .map(|figures| (figures[0].group, figures.to_vec()))
        .collect()
}
