//! What outlives a process: the history of a store that changes while it is walked, and of several
//! processes that follow each other. Readers are compared with the list of everything published.

mod cases;
mod oracle;
mod properties;
mod world;

use super::*;
use crate::core::history::{HistoryRecord, Revival, Revived};
use world::{Life, revival, revival_within};
