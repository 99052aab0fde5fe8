//! The configurations of proxies in `examples/proxies/`, which the documentation quotes.

use std::fs;

use crate::document;

/// Where they are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/proxies");

/// Those that the documentation shows whole, with the language of their block. It links the others.
const SHOWN: [(&str, &str); 3] = [
    ("nginx.conf", "nginx"),
    ("haproxy.cfg", "haproxy"),
    ("Caddyfile", "caddyfile"),
];

#[test]
fn the_documentation_shows_the_configurations_of_proxies_as_they_are() {
    for (name, language) in SHOWN {
        let text = fs::read_to_string(format!("{DIRECTORY}/{name}")).expect("a configuration");
        document::has(
            &format!(
                "<!-- examples/proxies/{name}: begin (copied from the file; do not edit) -->\n"
            ),
            &format!("```{language}\n{text}```\n"),
            &format!("<!-- examples/proxies/{name}: end -->\n"),
        );
    }
}

#[test]
fn the_documentation_links_every_configuration_of_a_proxy() {
    let document = fs::read_to_string(document::OPERATIONS).expect("docs/OPERATIONS.md");
    for entry in fs::read_dir(DIRECTORY).expect("a directory") {
        let name = entry.expect("a configuration").file_name();
        let link = format!("(../examples/proxies/{})", name.display());
        assert!(document.contains(&link), "no link to {}", name.display());
    }
}
