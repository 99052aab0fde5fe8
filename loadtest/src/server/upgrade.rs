//! A server that replaces its program while it runs.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use procfs::process::Process;

use super::{ServerError, words};

/// Pause between two looks at the program of a process.
const LOOK: Duration = Duration::from_millis(2);
/// Time for which a process may look ended amid an `exec`: its first thread ends if another one
/// executes, which then takes its place.
const EXECUTES_MAX: Duration = Duration::from_secs(1);
/// Entry of the auxiliary vector of a process (getauxval(3)).
const AT_RANDOM: u64 = 25;

/// Has a server replace its program in place: by this command, or else by SIGUSR2 to its process.
pub(crate) fn upgrade(
    pid: Option<u32>,
    command: Option<&str>,
    patience: Duration,
) -> Result<(), ServerError> {
    if let Some(command) = command {
        return run_command("--upgrade-command", command);
    }
    let pid = pid.unwrap_or_default();
    let before = program_of(pid).ok_or(ServerError::Gone(pid))?;
    kill(Pid::from_raw(pid as i32), Signal::SIGUSR2).map_err(|_| ServerError::Gone(pid))?;
    let start = Instant::now();
    let mut seen = start;
    loop {
        match program_of(pid) {
            None if seen.elapsed() > EXECUTES_MAX => return Err(ServerError::Gone(pid)),
            None => {}
            Some(program) if program != before && program != 0 => return Ok(()),
            Some(_) => seen = Instant::now(),
        }
        if start.elapsed() > patience {
            return Err(ServerError::NotReplaced(patience));
        }
        std::thread::sleep(LOOK);
    }
}

/// Runs the command that a flag gives, to its end; a failure if its exit code is not 0.
pub(crate) fn run_command(flag: &'static str, command: &str) -> Result<(), ServerError> {
    let words = words(flag, command)?;
    let [program, arguments @ ..] = words.as_slice() else {
        return Err(ServerError::Empty(flag));
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| ServerError::Start {
            program: program.clone(),
            error,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(ServerError::Command {
        flag,
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&said).into_owned(),
    })
}

/// The address of the random bytes that the kernel gives a program, which is another one after each
/// `exec`. `None` if the process has ended.
fn program_of(pid: u32) -> Option<u64> {
    let process = Process::new(pid as i32).ok()?;
    if matches!(process.stat().ok()?.state, 'Z' | 'X') {
        return None;
    }
    // It cannot be read amid an `exec`.
    let vector = process.auxv().unwrap_or_default();
    Some(vector.get(&AT_RANDOM).copied().unwrap_or_default())
}
