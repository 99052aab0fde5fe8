//! How HTTP and browsers name places: hosts, origins of web pages, targets of requests.

pub mod host;
pub mod network;
pub mod origin;
pub mod request_target;
