//! One hostile client per test, beside innocent ones: whatever it does, the others are served, no
//! event is lost, and neither the log nor the memory of the node grows with it.
//!
//! The node is a process of its own, because its log and its memory are judged.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// HTTP/2 frame by frame, right or wrong.
mod frames;
/// A subscriber and a publisher that behave well, and notice every fault.
mod innocent;
/// The node's log, and its memory.
mod readings;

/// Request bodies without an end.
mod bodies;
/// HTTP, TLS and RESP spoken to a port that speaks something else.
mod cross_protocol;
/// More connections than the node may have files.
mod descriptors;
/// HTTP/2 requests with fields that are wrong, one among others on their connection.
mod http2_fields;
/// HTTP/2 connections that keep the node busy at no cost to themselves.
mod http2_floods;
/// Each way to have the node hold memory, against the one budget.
mod memory_budget;
/// Clients that read slowly, or not at all.
mod readers;
/// HTTP clients that begin something and do not end it.
mod slow_http;
/// Clients that send a byte now and then, and never finish.
mod slowloris;
