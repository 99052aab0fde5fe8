//! Listening sockets that a program is started with, as systemd does it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::node::PROGRAM;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// A number beyond those that are passed.
const ABOVE: RawFd = 100;

/// A command that starts a program with these descriptors, from 3 on, and says so in its
/// environment. It needs the name of the program.
pub(crate) fn launcher(sockets: &[&dyn AsRawFd], names: Option<&str>) -> Command {
    let mut launcher = Command::new("sh");
    launcher
        .args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", PROGRAM])
        .env("LISTEN_FDS", sockets.len().to_string());
    if let Some(names) = names {
        launcher.env("LISTEN_FDNAMES", names);
    }
    let sockets: Vec<RawFd> = sockets.iter().map(|socket| socket.as_raw_fd()).collect();
    // SAFETY: between fork and exec, only system calls are made, on descriptors that are open.
    unsafe {
        launcher.pre_exec(move || {
            let mut copies = [0; 8];
            for (copy, socket) in copies.iter_mut().zip(&sockets) {
                *copy = checked(libc::fcntl(*socket, libc::F_DUPFD_CLOEXEC, ABOVE))?;
            }
            for (target, copy) in (FIRST..).zip(&copies[..sockets.len()]) {
                checked(libc::dup2(*copy, target))?;
            }
            Ok(())
        });
    }
    launcher
}

fn checked(result: libc::c_int) -> io::Result<libc::c_int> {
    match result {
        -1 => Err(io::Error::last_os_error()),
        result => Ok(result),
    }
}

/// A listening socket at a free port.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}
