//! The recipes of `examples/proxies/`, with the addresses, limits and times of a test in them.
//!
//! Nothing else is changed: a test of a recipe is a test of the file that people copy.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use super::proxy::Kind;

/// Where the recipes are.
const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/proxies/");

/// The certificate of the proxies and of the pages, and its key.
pub(super) const CERTIFICATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/p256.cert.pem");
pub(super) const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/p256.pem");

/// Silence after which a proxy gives a node up, instead of the recipes' minute: more than the
/// node's heartbeats, and short enough to wait for.
const SILENCE: &str = "3s";

/// Connections that a proxy has room for.
const CONNECTIONS: &str = "1000";

/// The files of a recipe.
pub(super) struct Recipe {
    pub(super) kind: Kind,
    /// Name and text; the first is the one that the proxy is started with.
    files: Vec<(&'static str, String)>,
}

impl Recipe {
    /// As it is in the repository.
    pub(super) fn of(kind: Kind) -> Self {
        let read = |name: &&'static str| {
            let text = fs::read_to_string(format!("{DIRECTORY}{name}"));
            (
                *name,
                text.unwrap_or_else(|error| panic!("{name}: {error}")),
            )
        };
        Self {
            kind,
            files: kind.files().iter().map(read).collect(),
        }
    }

    /// Without this part.
    pub(super) fn without(mut self, part: &str) -> Self {
        self.replace(part, "");
        self
    }

    /// Writes the files into a directory, for this node and these ports of the proxy.
    pub(super) fn write(mut self, into: &Path, node: SocketAddr, ports: [u16; 2]) {
        let [port, internal] = ports.map(|port| port.to_string());
        let node_port = node.port().to_string();
        let path = |name: &str| into.join(name).display().to_string();
        // nginx has names for the times of its TLS and HTTP connections; all are the same here.
        self.replace("60s", SILENCE);
        match self.kind {
            Kind::Nginx => {
                self.replace("127.0.0.1:8080", &node.to_string());
                self.replace("listen 443 ", &format!("listen 127.0.0.1:{port} "));
                self.replace("/etc/nginx/site.pem", CERTIFICATE);
                self.replace("/etc/nginx/site.key", KEY);
                self.replace(
                    "worker_connections 100000",
                    &format!("worker_connections {CONNECTIONS}"),
                );
                self.replace("worker_rlimit_nofile 1048576;\n", "");
                // One process, which writes into this directory only.
                let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .map(|name| format!("{name}_temp_path {};\n", path(name)));
                self.replace(
                    "http {\n",
                    &format!("http {{\naccess_log off;\n{}", paths.concat()),
                );
                self.prepend(&format!(
                    "daemon off;\nmaster_process off;\npid {};\nerror_log stderr;\n",
                    path("pid")
                ));
            }
            Kind::Haproxy => {
                self.replace("127.0.0.1:8080", &node.to_string());
                self.replace("127.0.0.1:8089", &format!("127.0.0.1:{internal}"));
                self.replace("bind :443 ", &format!("bind 127.0.0.1:{port} "));
                self.replace("/etc/haproxy/site.pem", &path("site.pem"));
                self.replace("maxconn 100000", &format!("maxconn {CONNECTIONS}"));
                let both = [CERTIFICATE, KEY].map(|file| fs::read_to_string(file).expect("a file"));
                fs::write(into.join("site.pem"), both.concat()).expect("a directory of the test");
            }
            Kind::Caddy => {
                self.replace("127.0.0.1:8080", &node.to_string());
                // Its own certificate instead of one that it would fetch. A client that connects to
                // an address names no host.
                let site = format!("https://:{port} {{\n\ttls {CERTIFICATE} {KEY}\n");
                self.replace("example.com {\n", &site);
                self.prepend("{\n\tadmin off\n\tauto_https off\n\tdefault_sni fantail-test\n}\n");
            }
            Kind::Envoy => {
                self.replace("port_value: 8080", &format!("port_value: {node_port}"));
                self.replace(
                    "0.0.0.0, port_value: 443",
                    &format!("127.0.0.1, port_value: {port}"),
                );
                self.replace("/etc/envoy/site.pem", CERTIFICATE);
                self.replace("/etc/envoy/site.key", KEY);
            }
            Kind::Traefik => {
                self.replace("127.0.0.1:8080", &node.to_string());
                self.replace("127.0.0.1:8090", &format!("127.0.0.1:{internal}"));
                self.replace("\":443\"", &format!("\"127.0.0.1:{port}\""));
                self.replace("/etc/traefik/site.pem", CERTIFICATE);
                self.replace("/etc/traefik/site.key", KEY);
                self.replace(
                    "/etc/traefik/traefik-fantail.yml",
                    &path("traefik-fantail.yml"),
                );
            }
        }
        for (name, text) in self.files {
            fs::write(into.join(name), text).expect("a directory of the test");
        }
    }

    /// Puts `new` in the place of each `old`; at least one has to be there.
    fn replace(&mut self, old: &str, new: &str) {
        let found = self.files.iter().any(|(_, text)| text.contains(old));
        assert!(found, "the recipe of {:?} has no {old:?}", self.kind);
        for (_, text) in &mut self.files {
            *text = text.replace(old, new);
        }
    }

    /// Puts this before the first file.
    fn prepend(&mut self, text: &str) {
        self.files[0].1.insert_str(0, text);
    }
}
