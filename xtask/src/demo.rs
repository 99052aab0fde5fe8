//! `cargo xtask demo`: a node and all examples whose needs are here, with one page that leads to them.

use std::os::unix::process::CommandExt as _;

use crate::process::{Failure, command};
use crate::{steps, tools};

/// Installs what is missing, builds the node, and becomes `examples/demo/start.mjs`: Ctrl-C and other
/// signals reach the one process that ends all others. Returns only if it cannot be started.
pub(crate) fn demo(port: Option<&str>) -> Result<(), Failure> {
    if let Some(word) = port.filter(|word| !is_port(word)) {
        return Err(Failure::Usage(format!("demo {word}")));
    }
    tools::for_examples()?;
    let node = steps::built_node(&["--release"])?;
    let mut start = command("node", &["examples/demo/start.mjs"]);
    start.args(port).env("FANTAIL_BIN", node);
    Err(Failure::Start(
        "node examples/demo/start.mjs".to_owned(),
        start.exec(),
    ))
}

fn is_port(word: &str) -> bool {
    word.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_number_that_can_be_listened_at() {
        for word in ["1", "3000", "65535"] {
            assert!(is_port(word), "{word}");
        }
        for word in ["0", "65536", "-1", "a", ""] {
            assert!(!is_port(word), "{word}");
        }
    }
}
