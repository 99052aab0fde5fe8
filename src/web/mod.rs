//! Names of places in HTTP and browsers: hosts, origins of web pages, targets of requests.

pub mod host;
pub mod network;
pub mod origin;
pub mod request_target;
