//! An application of `docs/INTEGRATIONS.md`, started in a directory of its own and ended with the
//! test.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::document;
use super::recipes::Recipe;
use crate::program;
use crate::support::free_port::free_address;
use crate::support::http::{self, Response};
use crate::support::wait_until;

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Name and password of the applications at the node, as in the document.
pub(super) const USER: &str = "shop";
pub(super) const PASSWORD: &str = "a-password";

/// The address of the node, as in the document.
const NODE: &str = "http://127.0.0.1:8080";

/// The secret for tokens, as in the document.
pub(super) const SECRET: &str = "a-secret-of-at-least-thirty-two-bytes";

/// A running application.
pub(super) struct Shop {
    child: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl Shop {
    /// Starts it, and waits until it accepts connections.
    pub(super) fn start(recipe: &Recipe, ingest: SocketAddr) -> Self {
        Self::start_changed(recipe, ingest, |_| {})
    }

    /// The same after a change of its files.
    pub(super) fn start_changed(
        recipe: &Recipe,
        ingest: SocketAddr,
        change: impl FnOnce(&Path),
    ) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let root = Path::new(ROOT);
        if let Some(project) = recipe.project {
            document::copy(&root.join("tests").join(project), directory.path());
        }
        let modules = directory.path().join("node_modules");
        std::os::unix::fs::symlink(root.join("tests/node/node_modules"), modules).expect("a link");
        let address = free_address();
        let start = document::write(recipe.headings, directory.path(), address.port());
        change(directory.path());

        let log = File::create(directory.path().join("log")).expect("a file");
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = program::command("sh");
        command
            .args(["-c", &start])
            .current_dir(&directory)
            .env("PATH", format!("{ROOT}/tests/python/.venv/bin:{path}"))
            .env("FANTAIL_JWT_SECRET", SECRET)
            .env("INGEST_URL", format!("redis://{USER}:{PASSWORD}@{ingest}"))
            .env("INGEST_PORT", ingest.port().to_string())
            .env("INGEST_USER", USER)
            .env("INGEST_PASSWORD", PASSWORD)
            .envs(recipe.variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .process_group(0);
        let mut shop = Self {
            child: command.spawn().expect("a shell"),
            directory,
            address,
        };
        wait_until(&format!("`{start}` serves"), || {
            let ended = shop.child.try_wait().expect("a child");
            assert!(ended.is_none(), "`{start}` ended with {ended:?}");
            TcpStream::connect(address).is_ok()
        });
        shop
    }

    /// Writes the address of this node into its page.
    pub(super) fn show_hub(&self, url: &str) {
        let page = self.directory.path().join("public/index.html");
        let text = fs::read_to_string(&page).expect("a page");
        assert!(text.contains(NODE), "{text}");
        fs::write(&page, text.replace(NODE, url)).expect("a file");
    }

    /// Its page.
    pub(super) fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.address)
    }

    /// Its origin.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Orders these items; the status of the answer.
    pub(super) fn order(&self, items: &[&str]) -> u16 {
        self.post("/orders", &json!({ "items": items })).status
    }

    /// Sends user 42 a message.
    pub(super) fn say(&self, id: &str, text: &str) {
        let answer = self.post("/messages", &json!({"id": id, "to": "42", "text": text}));
        assert_eq!(answer.status, 202, "{answer:?}");
    }

    /// The token of the signed-in user, and the cookie that has it.
    pub(super) fn token(&self) -> (String, String) {
        let answer = http::request(self.address, "POST", "/hub-token", &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        let cookie = answer
            .head
            .field("set-cookie")
            .expect("a cookie")
            .to_owned();
        (answer.body, cookie)
    }

    fn post(&self, target: &str, body: &Value) -> Response {
        let fields = [("Content-Type", "application/json")];
        let body = body.to_string();
        http::request(self.address, "POST", target, &fields, body.as_bytes())
    }

    /// What it has printed so far.
    pub(super) fn printed(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // With all that the shell has started.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the application printed:\n{}---", self.printed());
        }
    }
}
