//! A systemd in namespaces of its own: processes, mounts, control groups and network.
//!
//! Its root is a view of this machine's, whose changes are kept in memory, and it starts nothing
//! but the node.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;

use crate::support::node::PROGRAM;
use crate::support::{DEADLINE, wait_for, wait_until};

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

pub(super) const PASSWORD: &str = "hush";

/// A booted systemd, with the example units installed.
pub(super) struct Machine {
    unshare: Child,
    /// systemd's number outside; 0 before it runs.
    systemd: u32,
    folder: TempDir,
}

impl Machine {
    /// Boots; the lines are added to the unit of the service.
    pub(super) fn boot(lines: &str) -> Self {
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
        wait_for("systemd runs", || {
            let ended = self.unshare.try_wait().expect("a child");
            let errors = fs::read_to_string(self.folder.path().join("errors")).unwrap_or_default();
            assert!(
                ended.is_none(),
                "systemd did not start ({ended:?}): {errors}"
            );
            let child = self.child()?;
            let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
            (name.trim() == "systemd").then_some(child)
        })
    }

    /// The process that becomes systemd, while it runs.
    fn child(&self) -> Option<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.unshare.id());
        let child = fs::read_to_string(children).ok()?;
        child.trim().parse().ok()
    }

    /// Moves the calling thread, and those that it starts, into the machine's network.
    fn enter(&self) {
        let network = File::open(format!("/proc/{}/ns/net", self.systemd)).expect("a namespace");
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("this is root");
    }

    /// Runs a command inside.
    pub(super) fn run(&self, words: &[&str]) -> Output {
        // Its number may be another's by then.
        assert_eq!(self.child(), Some(self.systemd), "systemd has ended");
        Command::new("nsenter")
            .args(["--target", &self.systemd.to_string()])
            .args(["--mount", "--pid", "--net", "--ipc", "--uts", "--root"])
            .args(["--wd=/", "--"])
            .args(words)
            .output()
            .expect("nsenter is there")
    }

    /// Runs a command that has to succeed; what it says.
    pub(super) fn must(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let [said, errors] = [&output.stdout, &output.stderr].map(|b| String::from_utf8_lossy(b));
        assert!(output.status.success(), "{words:?}: {said}{errors}");
        said.into_owned()
    }

    /// A property of the service.
    pub(super) fn show(&self, property: &str) -> String {
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

    pub(super) fn start(&self) {
        self.must(&["systemctl", "start", "fantail.socket", "fantail.service"]);
        assert_eq!(self.show("ActiveState"), "active");
    }

    /// Puts this text in the place of the program's file, in one step; the program stays at
    /// `/run/real`.
    pub(super) fn install(&self, script: &str) {
        let steps = "cp /usr/local/bin/fantail /run/real && printf '%s' \"$0\" > /usr/local/bin/next && \
                     chmod 755 /usr/local/bin/next && mv /usr/local/bin/next /usr/local/bin/fantail";
        self.must(&["sh", "-c", steps, script]);
    }

    pub(super) fn install_real(&self) {
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
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (at, kind) = (words.next()?, words.next()?);
        (kind == "cgroup2").then(|| Path::new(at).join(group()))
    });
    let end = Instant::now() + DEADLINE;
    for group in mounts {
        // Ended processes are in it for a moment.
        while !is_removed(&group) {
            if Instant::now() > end {
                eprintln!("left behind: {}", group.display());
                break;
            }
            thread::park_timeout(Duration::from_millis(5));
        }
    }
}

fn is_removed(group: &Path) -> bool {
    let within = fs::read_dir(group).into_iter().flatten().flatten();
    for entry in within.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        is_removed(&entry.path());
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}
