//! strace, attached to a process or started with one.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::wait_until;

/// A fault of one system call: its name, and the rest of strace's `inject=`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault<'a> {
    pub(super) call: &'a str,
    /// Such as `error=EMFILE`.
    pub(super) what: &'a str,
    /// Which of the calls of a thread.
    pub(super) when: usize,
}

impl Fault<'_> {
    /// Options of strace.
    pub(super) fn options(&self) -> [String; 4] {
        let Self { call, what, when } = self;
        let inject = format!("inject={call}:{what}:when={when}");
        ["-e".into(), format!("trace={call}"), "-e".into(), inject]
    }
}

/// Whether a trace has a call that was made to fail, or a process that was killed.
pub(super) fn has_fault(trace: &str) -> bool {
    trace.contains("(INJECTED)") || trace.contains("+++ killed by")
}

/// A strace that is attached to a process. Dropping it detaches it.
pub(super) struct Strace {
    child: Child,
    folder: TempDir,
}

impl Strace {
    /// Attaches to a process.
    pub(super) fn attach(pid: u32, options: &[String]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut child = Command::new("strace")
            .arg("-o")
            .arg(folder.path().join("trace"))
            .args(options)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("strace: {error} (`cargo xtask tools` installs what is missing)")
            });
        let mut said = String::new();
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe"));
        while !said.contains(" attached") {
            let read = errors.read_line(&mut said).expect("text");
            assert!(
                read > 0,
                "strace may not attach to another process of this user: {said}\
                 allow it with `sysctl kernel.yama.ptrace_scope=0`, for a container with \
                 `--cap-add=SYS_PTRACE`, or run the tests as root"
            );
        }
        // It goes on to read what strace says, so that strace never waits.
        std::thread::spawn(move || {
            while errors
                .read_line(&mut String::new())
                .is_ok_and(|read| read > 0)
            {}
        });
        Self { child, folder }
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> String {
        fs::read_to_string(self.folder.path().join("trace")).unwrap_or_default()
    }

    /// Detaches it; returns what it has seen.
    pub(super) fn detach(mut self) -> String {
        self.end();
        self.seen()
    }

    fn end(&mut self) {
        // It may have ended with its process.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

/// A shell script that takes over as the real program, under strace, in the same process. `$REAL` is
/// the program.
pub(super) fn take_over_script(trace: &Path, options: &[String]) -> String {
    let (options, trace) = (options.join(" "), trace.display());
    // `-DD`: the tracer is a grandchild in a group of its own, so the program keeps its number.
    format!(
        "case \"$FANTAIL_HANDOVER\" in take-over:*) exec strace -DD -o {trace} {options} \"$REAL\" \"$@\";; esac\n\
         exec \"$REAL\" \"$@\""
    )
}

/// A shell script that checks or rehearses as the real program, under strace. In the end it is
/// refused, so that the running program stays.
pub(super) fn child_script(role: &str, trace: &Path, options: &[String]) -> String {
    let (options, trace) = (options.join(" "), trace.display());
    let end = match role {
        "check" => "esac\nexit 3",
        _ => "esac\nexec \"$REAL\" \"$@\"",
    };
    format!(
        "case \"$FANTAIL_HANDOVER\" in {role}:*)\n\
         strace -o {trace} {options} \"$REAL\" \"$@\"; code=$?\n\
         [ {role} = check ] || touch -d 2001-01-01 \"$0\"\n\
         exit $code;;\n{end}"
    )
}

/// Detaches the tracer of a program that was started by such a script, if it has one.
pub(super) fn detach_from(pid: u32) {
    let tracer = || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("TracerPid:"))?;
        Pid::from_raw(line.trim().parse().ok()?)
    };
    if let Some(tracer) = tracer() {
        // It blocks all other signals. The kernel detaches the program from it.
        let _ = kill_process(tracer, Signal::KILL);
    }
    wait_until("the tracer is gone", || tracer().is_none());
}
