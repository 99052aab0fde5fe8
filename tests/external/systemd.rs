//! The units of `examples/systemd` under a real systemd, in namespaces of its own: processes,
//! mounts, control groups and network.
//!
//! Its root is a view of this machine's, whose changes are kept in memory, and it starts nothing
//! but the node. Run by `cargo xtask systemd`, as root, since systemd has to mount what it manages.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::support::http::{Connection, request};
use crate::support::node::PROGRAM;
use crate::support::resp;
use crate::support::sse::SseStream;
use crate::support::{wait_for, wait_until};

/// Moves into a control group of its own.
const PREPARE: &str = r#"
set -e
mount --make-rprivate /
cd "$FILES"
mkdir groups
mount -t cgroup2 none groups
mkdir "groups/$GROUP"
echo $$ > "groups/$GROUP/cgroup.procs"
umount groups
exec unshare --cgroup sh -c "$BOOT"
"#;

/// Builds the root, and becomes systemd. `$FILES` has files for `/etc` and `/usr/local/bin`.
const BOOT: &str = r#"
set -e
mkdir memory
mount -t tmpfs none memory
cd memory
mkdir changes work root
mount -t overlay -o "lowerdir=/,upperdir=$PWD/changes,workdir=$PWD/work" none root
cp -r "$FILES/etc/." root/etc/
cd root
for folder in run tmp var/lib var/log var/tmp usr/local/bin dev; do mount -t tmpfs -o mode=755 none "$folder"; done
chmod 1777 tmp var/tmp
cp "$FILES/bin/fantail" usr/local/bin/
for name in null zero full random urandom; do touch "dev/$name"; mount --bind "/dev/$name" "dev/$name"; done
mkdir dev/shm
mount -t proc none proc
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro none sys
mount -t cgroup2 none sys/fs/cgroup
mkdir run/outside
pivot_root . run/outside
cd /
umount -l /run/outside
mount --make-rshared /
exec env -i container=namespaces PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
  /lib/systemd/systemd --system --unit=fantail-test.target --log-target=console --show-status=no
"#;

/// A unit, or an addition to one, that starts nothing else. The services that a machine needs would
/// set up the one that runs the test.
const ALONE: &str = "[Unit]\nDefaultDependencies=no\n";

/// The node's settings; all others come from its unit.
const SETTINGS: &str = "drain_period = \"4s\"\n";

/// Where the node logs to.
const LOG: &str = "/run/fantail.log";

const PASSWORD: &str = "hush";

/// A booted systemd, with the example units installed.
struct Machine {
    unshare: Child,
    /// systemd's number outside; 0 before it runs.
    systemd: u32,
    folder: TempDir,
}

impl Machine {
    /// Boots; the lines are added to the unit of the service.
    fn boot(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| -> PathBuf {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            path
        };
        let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
        for unit in ["fantail.service", "fantail.socket"] {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/systemd");
            let target = path(&format!("etc/systemd/system/{unit}"));
            fs::copy(example.join(unit), target).expect("an example");
            write(&format!("etc/systemd/system/{unit}.d/alone.conf"), ALONE);
        }
        write("etc/systemd/system/fantail-test.target", ALONE);
        write("etc/systemd/system/network-online.target", ALONE);
        write(
            "etc/systemd/system/fantail.service.d/test.conf",
            &format!("[Service]\nStandardError=append:{LOG}\n{lines}\n"),
        );
        write("etc/fantail.toml", SETTINGS);
        write("etc/fantail/ingest-password", PASSWORD);
        fs::copy(PROGRAM, path("bin/fantail")).expect("the program");
        // The kernel ends it with the thread of the test, also if nothing drops this.
        let unshare = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare"])
            .args(["--pid", "--mount", "--ipc", "--uts", "--net"])
            .args(["--fork", "--kill-child=KILL"])
            .args(["sh", "-c", PREPARE])
            .env("FILES", folder.path())
            .env("GROUP", group())
            .env("BOOT", BOOT)
            .stdin(Stdio::null())
            .stdout(File::create(path("log")).expect("a file"))
            .stderr(File::create(path("errors")).expect("a file"))
            .spawn()
            .expect("setpriv is there");
        // From now on, a boot that fails is undone as well.
        let mut machine = Self {
            unshare,
            systemd: 0,
            folder,
        };
        machine.systemd = machine.booted();
        machine.enter();
        let asked = ["systemctl", "is-active", "fantail-test.target"];
        wait_until("systemd is ready", || machine.run(&asked).status.success());
        machine
    }

    /// Waits until systemd runs; its number outside.
    fn booted(&mut self) -> u32 {
        let children = format!("/proc/{0}/task/{0}/children", self.unshare.id());
        wait_for("systemd runs", || {
            let ended = self.unshare.try_wait().expect("a child");
            let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
            assert!(
                ended.is_none(),
                "systemd did not start ({ended:?}): {errors}"
            );
            let child = fs::read_to_string(&children).ok()?;
            let child: u32 = child.trim().parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "systemd").then_some(child)
        })
    }

    /// Moves the calling thread, and those that it starts, into the machine's network.
    fn enter(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.systemd)).expect("a namespace");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("this is root");
    }

    /// Runs a command inside.
    fn run(&self, words: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["--target", &self.systemd.to_string()])
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--root"])
            .args(["--wd=/", "--"])
            .args(words)
            .output()
            .expect("nsenter is there")
    }

    /// Runs a command that has to succeed; what it says.
    fn must(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let [said, errors] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
        assert!(output.status.success(), "{words:?}: {said}{errors}");
        said.into_owned()
    }

    /// A property of the service.
    fn show(&self, property: &str) -> String {
        let flag = format!("--property={property}");
        let said = self.must(&["systemctl", "show", "--value", &flag, "fantail.service"]);
        said.trim().to_owned()
    }

    /// What systemd and the node logged.
    fn logged(&self) -> String {
        let node = format!("/proc/{}/root{LOG}", self.systemd);
        ["log", "errors", &node]
            .map(|name| fs::read_to_string(self.folder.path().join(name)).unwrap_or_default())
            .concat()
    }

    fn start(&self) {
        self.must(&["systemctl", "start", "fantail.socket", "fantail.service"]);
        assert_eq!(self.show("ActiveState"), "active");
    }

    /// Puts this text in the place of the program's file, in one step; the program stays at
    /// `/run/real`.
    fn install(&self, script: &str) {
        let steps = "cp /usr/local/bin/fantail /run/real && printf '%s' \"$0\" > /usr/local/bin/next && \
                     chmod 755 /usr/local/bin/next && mv /usr/local/bin/next /usr/local/bin/fantail";
        self.must(&["sh", "-c", steps, script]);
    }

    fn install_real(&self) {
        let steps =
            "cp /run/real /usr/local/bin/next && mv /usr/local/bin/next /usr/local/bin/fantail";
        self.must(&["sh", "-c", steps]);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- systemd and the node logged:\n{}", self.logged());
        }
        // The first process of the namespace takes all others with it.
        let _ended = self.unshare.kill();
        let _ended = self.unshare.wait();
        remove_groups();
    }
}

/// The name of a control group. Each test has a thread of its own.
fn group() -> String {
    let thread = rustix::thread::gettid();
    format!("fantail-test.{}", thread.as_raw_nonzero())
}

/// Removes what a systemd has left of its control groups.
fn remove_groups() {
    fn remove(group: &Path) {
        let within = fs::read_dir(group).into_iter().flatten().flatten();
        for entry in within.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            remove(&entry.path());
        }
        // Ended processes are in it for a moment.
        wait_until("a control group is empty", || {
            fs::remove_dir(group).is_ok() || !group.exists()
        });
    }
    let mounts = fs::read_to_string("/proc/self/mounts").expect("a file");
    let at = mounts.lines().find_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(at))
    });
    if let Some(at) = at {
        remove(&at.join(group()));
    }
}

/// Runs a test on a thread that may change its network.
fn on_its_own_thread(test: impl FnOnce() + Send + 'static) {
    if let Err(panic) = thread::spawn(test).join() {
        std::panic::resume_unwind(panic);
    }
}

/// An address on loopback.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The public listener: the example's socket unit.
fn http() -> SocketAddr {
    loopback(8080)
}

/// A connection to the ingest listener.
fn publisher() -> resp::Client {
    let mut client = resp::Client::open(loopback(7379));
    client.send(&["AUTH", PASSWORD]);
    assert_eq!(client.line(), "+OK");
    client
}

/// What the node says of its last upgrade.
fn upgrade_status() -> serde_json::Value {
    request(loopback(8081), "GET", "/upgrade", &[], b"").json()
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn an_upgrade_is_no_event_for_systemd() {
    on_its_own_thread(|| {
        let machine = Machine::boot("WatchdogSec=2s\nTimeoutStopSec=2s\nTimeoutAbortSec=2s");
        machine.start();
        let process = machine.show("MainPID");
        let mut stream = SseStream::open(http(), "/events/t");
        let mut publisher = publisher();
        for round in ["first", "second"] {
            machine.must(&["fantail", "upgrade", "--config", "/etc/fantail.toml"]);
            publisher.publish("t", round);
            assert_eq!(stream.take_data(1), [round]);
            assert_eq!(machine.show("MainPID"), process);
            assert_eq!(machine.show("NRestarts"), "0");
            assert_eq!(machine.show("ActiveState"), "active");
        }
        wait_until("systemctl status shows the stream", || {
            machine.show("StatusText").starts_with("1 stream")
        });
        machine.must(&["systemctl", "reload", "fantail.service"]);
        for _ in 0..3 {
            let heard = machine.show("WatchdogTimestampMonotonic");
            wait_until("the watchdog hears of the new program", || {
                machine.show("WatchdogTimestampMonotonic") != heard
            });
        }
        assert_eq!(machine.show("MainPID"), process);

        // A node that hangs is ended by the watchdog and started again; the port stays open.
        machine.must(&["kill", "-STOP", &process]);
        wait_until("systemd starts another", || {
            machine.show("NRestarts") == "1" && machine.show("ActiveState") == "active"
        });
        assert_ne!(machine.show("MainPID"), process);
        assert_eq!(request(http(), "GET", "/healthz", &[], b"").status, 200);
    });
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn systemctl_reload_upgrades_if_the_unit_says_so() {
    on_its_own_thread(|| {
        let machine = Machine::boot(
            "ExecReload=\nExecReload=/usr/local/bin/fantail upgrade --config /etc/fantail.toml",
        );
        machine.start();
        let process = machine.show("MainPID");
        let mut stream = SseStream::open(http(), "/events/t");
        let mut publisher = publisher();
        let reload = ["systemctl", "reload", "fantail.service"];
        machine.must(&reload);
        let status = upgrade_status();
        assert_eq!(status["attempts"], 1, "{status}");
        assert!(status["last"]["failed"].is_null(), "{status}");
        publisher.publish("t", "upgraded");
        assert_eq!(stream.take_data(1), ["upgraded"]);

        // The command still works, the program is broken.
        machine.install(
            "#!/bin/sh\n[ \"$1\" = upgrade ] && exec /run/real \"$@\"\necho broken >&2\nexit 1\n",
        );
        assert!(!machine.run(&reload).status.success());
        publisher.publish("t", "refused");
        assert_eq!(stream.take_data(1), ["refused"]);
        assert_eq!(machine.show("ActiveState"), "active");
        machine.install_real();
        machine.must(&reload);
        publisher.publish("t", "again");
        assert_eq!(stream.take_data(1), ["again"]);
        assert_eq!(machine.show("MainPID"), process);
    });
}

#[test]
#[ignore = "needs root and a systemd: cargo xtask systemd"]
fn a_restart_keeps_the_history_and_the_port_and_a_long_drain_is_waited_for() {
    on_its_own_thread(|| {
        // Less than the drain takes, for which the node asks.
        let machine = Machine::boot("TimeoutStopSec=1s");
        machine.start();
        let mut streams: Vec<_> = (0..8)
            .map(|_| SseStream::open(http(), "/events/t"))
            .collect();
        publisher().publish("t", "heard");
        for stream in &mut streams {
            assert_eq!(stream.take_data(1), ["heard"]);
        }
        let cursor = streams[0].cursor.clone();
        publisher().publish("t", "missed");
        thread::scope(|scope| {
            let restart =
                scope.spawn(|| machine.must(&["systemctl", "restart", "fantail.service"]));
            for stream in &mut streams {
                assert_eq!(stream.take_data(1), ["missed"]);
                assert_eq!(stream.next(), None, "the drain ends it");
                assert!(stream.retry.is_some());
            }
            // Comes while no node runs, or to one of both.
            let mut waiting = Connection::open(http());
            waiting.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(waiting.response("GET").status, 200);
            restart.join().expect("systemctl restart");
        });
        assert_eq!(machine.show("Result"), "success");
        assert_eq!(machine.show("NRestarts"), "0");
        let mut resumed = SseStream::resume(http(), "/events/t", &cursor);
        assert_eq!(resumed.take_data(1), ["missed"]);
        drop(resumed);
        machine.must(&["systemctl", "stop", "fantail.service"]);
        assert_eq!(machine.show("Result"), "success");
        assert_eq!(machine.show("ExecMainStatus"), "0");
    });
}
