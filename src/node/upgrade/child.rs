//! A child process with the next program: it checks, or rehearses, and says so on its standard
//! output.
//!
//! It never lives on: it may have inherited all connections, and they would not close as long as it
//! has them.

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process_group, wait, waitid,
};
use thiserror::Error;

use super::counts::Said;

/// Longest time of a child. A start with a state of a million events takes about a second. All
/// publishers wait for a rehearsal, and a proxy in front of them gives up after ten seconds or more.
pub(super) const LONGEST: Duration = Duration::from_secs(5);

/// What a rehearsal does in a second, with much to spare: more time than that does not help a
/// program that hangs.
const STATE_BYTES_A_SECOND: u64 = 20 << 20;
const SOCKETS_A_SECOND: u64 = 20_000;

/// Longest time of a rehearsal with a state of this size and so many sockets.
pub(super) fn longest_with(state_bytes: u64, sockets: usize) -> Duration {
    let more = state_bytes / STATE_BYTES_A_SECOND + sockets as u64 / SOCKETS_A_SECOND;
    LONGEST + Duration::from_secs(more)
}

/// Pause between two looks at a child: it adds half of it to the pause of an upgrade.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Time for the rest of the output of a child that has ended.
const OUTPUT_WAIT: Duration = Duration::from_millis(200);

/// Most bytes of a child's output that are read.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Most characters of a reason.
const REASON_CHARS_MAX: usize = 1_000;

/// What a child failed by.
#[derive(Debug, Error)]
pub(in crate::node) enum ChildError {
    /// It could not be started.
    #[error("it cannot be started: {0}")]
    Spawn(io::Error),
    /// No thread reads what it says.
    #[error("its output cannot be read: {0}")]
    Listen(io::Error),
    /// It ended in another way than it should.
    #[error("it ended with {status}{}", said(.reason))]
    Ended {
        /// How it ended.
        status: String,
        /// The end of its standard error.
        reason: String,
    },
    /// It took too long.
    #[error("it did not end within {} s, and was killed{}", .longest.as_secs(), said(.reason))]
    Hung {
        /// The time that it had.
        longest: Duration,
        /// The end of its standard error.
        reason: String,
    },
    /// The node ended first.
    #[error("the node is about to end")]
    Unwanted,
    /// It said something else than a Fantail that can take over.
    #[error("it is no Fantail that can take over; it said {0:?}")]
    Nonsense(String),
    /// The system does not say how it ended.
    #[error("the system does not say how it ended: {0}")]
    Wait(io::Error),
}

fn said(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {reason}")
    }
}

/// Runs a child to its end, which comes in time or is made; also as soon as it is unwanted. Blocks.
pub(super) fn run(
    mut command: Command,
    longest: Duration,
    is_unwanted: &AtomicBool,
) -> Result<Said, ChildError> {
    // A group of its own, so that its own children end with it.
    let mut child = command
        .process_group(0)
        .spawn()
        .map_err(ChildError::Spawn)?;
    let collected =
        collect(child.stdout.take()).and_then(|output| Ok((output, collect(child.stderr.take())?)));
    let (output, errors) = match collected {
        Ok(collected) => collected,
        Err(error) => {
            // Nothing that it says would be heard.
            let _ = ended(&mut child, Instant::now(), is_unwanted);
            return Err(ChildError::Listen(error));
        }
    };
    let end = ended(&mut child, Instant::now() + longest, is_unwanted);
    let status = match end.map_err(ChildError::Wait)? {
        End::Own(status) => status,
        End::Late => {
            let reason = text(&errors);
            return Err(ChildError::Hung { longest, reason });
        }
        End::Unwanted => return Err(ChildError::Unwanted),
    };
    if !status.success() {
        let status = match status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("exit code {}", status.code().unwrap_or(-1)),
        };
        let reason = text(&errors);
        return Err(ChildError::Ended { status, reason });
    }
    understood(&text(&output))
}

/// What a child has said: one message, all of it, and nothing else.
fn understood(output: &str) -> Result<Said, ChildError> {
    let nonsense = |_| ChildError::Nonsense(output.chars().take(100).collect());
    serde_json::from_str(output).map_err(nonsense)
}

/// How a child ended.
enum End {
    /// By itself.
    Own(ExitStatus),
    /// It was killed: its time was over.
    Late,
    /// It was killed before: it was not wanted any more.
    Unwanted,
}

/// Waits for the end of a child, and kills it if that is due. Nothing of it is left afterwards.
fn ended(child: &mut Child, deadline: Instant, is_unwanted: &AtomicBool) -> io::Result<End> {
    let pid = Pid::from_child(child);
    // Its number stays its own until it is reaped.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let end: io::Result<fn(ExitStatus) -> End> = loop {
        match waitid(WaitId::Pid(pid), options) {
            Ok(Some(_)) => break Ok(End::Own),
            Ok(None) if is_unwanted.load(Ordering::Relaxed) => break Ok(|_| End::Unwanted),
            Ok(None) if Instant::now() >= deadline => break Ok(|_| End::Late),
            Ok(None) => thread::sleep(LOOK_EVERY),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => break Err(error.into()),
        }
    };
    // The group is gone if the child was the last one in it.
    let _ = kill_process_group(pid, Signal::KILL);
    let status = child.wait()?;
    reap_orphans();
    Ok(end?(status))
}

/// The first process of a container gets the orphans of all others.
fn reap_orphans() {
    if getpid().is_init() {
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

/// Reads an output of a child on a thread, which ends with the last process that has the pipe.
fn collect(pipe: Option<impl Read + Send + 'static>) -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    let read = move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    };
    thread::Builder::new().spawn(read)?;
    Ok(receiver)
}

/// The end of an output, in one line.
fn text(output: &mpsc::Receiver<Vec<u8>>) -> String {
    let bytes = output.recv_timeout(OUTPUT_WAIT).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim().replace('\n', "; ");
    let skipped = text.chars().count().saturating_sub(REASON_CHARS_MAX);
    text.chars().skip(skipped).collect()
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn shell(script: &str) -> Result<Said, ChildError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::null());
        run(
            command
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .to_owned_command(),
            LONGEST,
            &AtomicBool::new(false),
        )
    }

    trait ToOwnedCommand {
        fn to_owned_command(&mut self) -> Command;
    }

    impl ToOwnedCommand for Command {
        fn to_owned_command(&mut self) -> Command {
            std::mem::replace(self, Command::new("false"))
        }
    }

    #[test]
    fn a_large_state_was_taken_for_a_program_that_hangs() {
        assert_eq!(longest_with(1 << 20, 15_000), LONGEST);
        let seconds = |seconds| LONGEST + Duration::from_secs(seconds);
        assert_eq!(longest_with(2 << 30, 0), seconds(102));
        assert_eq!(longest_with(100 << 20, 1_000_000), seconds(55));
    }

    #[test]
    fn a_child_is_believed_only_if_it_says_the_right_thing_and_ends_well() {
        let said = shell(r#"echo '{"fantail":"9.9.9","adopted":null,"digest":null}'"#);
        assert_eq!(said.expect("well said").fantail, "9.9.9");
        let error = |script| shell(script).expect_err("refused").to_string();
        assert!(error("echo hello").contains("hello"));
        assert!(error("echo no such setting >&2; exit 2").contains("exit code 2: no such setting"));
        let after = r#"echo '{"fantail":"9.9.9","adopted":null,"digest":null}'; kill -SEGV $$"#;
        assert!(error(after).contains("signal 11"), "{}", error(after));
    }

    #[test]
    fn a_message_that_was_cut_or_has_more_behind_it_is_not_believed() {
        let said = Said {
            fantail: "9.9.9".to_owned(),
            adopted: Some(super::super::counts::Counts::default()),
            digest: Some(u32::MAX),
        };
        let message = serde_json::to_string(&said).expect("text");
        assert_eq!(understood(&message).expect("whole"), said);
        for end in 0..message.len() {
            let cut = &message[..end];
            assert!(understood(cut).is_err(), "{cut}");
        }
        for junk in ["x", "0", "}", "\0", &message, "; a warning"] {
            for wrong in [format!("{message}{junk}"), format!("{junk}{message}")] {
                assert!(understood(&wrong).is_err(), "{wrong}");
            }
        }
        for (from, to) in [
            (":0", ":-1"),
            (":0", ":0.5"),
            (":0", ":null"),
            ("4294967295", "4294967296"),
        ] {
            let wrong = message.replacen(from, to, 1);
            assert!(understood(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_child_that_hangs_is_killed_with_its_own_children() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let began = Instant::now();
        assert!(matches!(shell(&script), Err(ChildError::Hung { .. })));
        assert!(began.elapsed() < LONGEST * 3);
        let pid = std::fs::read_to_string(&file).expect("a number");
        let status = format!("/proc/{}/status", pid.trim());
        let deadline = Instant::now() + Duration::from_secs(10);
        let is_alive = || {
            let status = std::fs::read_to_string(&status);
            status.is_ok_and(|status| !status.contains("State:\tZ"))
        };
        while is_alive() {
            assert!(Instant::now() < deadline, "its child lives on");
            thread::sleep(LOOK_EVERY);
        }
    }
}
