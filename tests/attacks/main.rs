//! One hostile client each, beside innocent ones: whatever it does, the others are served, nothing
//! is lost, and neither the log nor the memory of the node grows with it.
//!
//! The node is a process of its own, because its log and its memory are judged.

/// Clients that read strictly, and the conditions that tests wait for.
#[path = "../support/mod.rs"]
mod support;

/// HTTP/2 frame by frame, right or wrong.
mod frames;
/// A subscriber and a publisher who do nothing wrong, and notice everything that goes wrong.
mod innocent;
/// What the node logged, and what it holds.
mod readings;

/// Request bodies that do not come to their end.
mod bodies;
/// HTTP, TLS and RESP spoken to a port that speaks something else.
mod cross_protocol;
/// More connections than the node may have files.
mod descriptors;
/// HTTP/2 requests with fields that are wrong, one among others on their connection.
mod http2_fields;
/// HTTP/2 connections that keep the node busy with what costs them nothing.
mod http2_floods;
/// Each way to have the node hold memory, against the one budget.
mod memory_budget;
/// Clients that read slowly, or not at all.
mod readers;
/// HTTP clients that begin something and do not end it.
mod slow_http;
/// Clients that send a byte now and then, and never come to an end.
mod slowloris;
