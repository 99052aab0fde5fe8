use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// One row of the kernel's table of TCP sockets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Socket {
    /// Port of the other end.
    pub(crate) peer: u16,
    /// Bytes sent that the other end's kernel has not accepted.
    pub(crate) unsent: usize,
}

/// `TCP_LISTEN` of the kernel's `tcp_states.h`.
const LISTENING: &str = "0A";

/// The sockets at `local` that a process still holds, without the listener. A socket that only the
/// kernel holds (it is in `TIME_WAIT`, say) has no inode. The table is of the whole machine:
/// another process may use the same port at another address.
pub(crate) fn held_sockets(local: SocketAddr) -> Vec<Socket> {
    let local = in_table(local);
    let table = fs::read_to_string("/proc/self/net/tcp").expect("Linux");
    let rows = table.lines().skip(1).filter_map(|row| {
        let words: Vec<&str> = row.split_whitespace().collect();
        let [_, here, there, state, queues, _, _, _, _, inode, ..] = words[..] else {
            return None;
        };
        let held = here == local && state != LISTENING && inode != "0";
        let (unsent, _) = queues.split_once(':')?;
        held.then(|| Socket {
            peer: port(there),
            unsent: usize::from_str_radix(unsent, 16).expect("a queue"),
        })
    });
    rows.collect()
}

/// The address as the kernel prints it: the bytes of the host as this machine holds them in memory,
/// the port as it is read.
fn in_table(address: SocketAddr) -> String {
    let SocketAddr::V4(address) = address else {
        panic!("the nodes of these tests listen on IPv4, not on {address}");
    };
    let host = u32::from_ne_bytes(address.ip().octets());
    format!("{host:08X}:{:04X}", address.port())
}

fn port(address: &str) -> u16 {
    let (_, port) = address.split_once(':').expect("an address");
    u16::from_str_radix(port, 16).expect("a port")
}

/// Processor time that a process has used.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    // The name, in parentheses, may hold spaces; the fields behind it start with the third of
    // proc(5).
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let field = |number: usize| -> u64 {
        let word = fields.split_whitespace().nth(number - 3).expect("a field");
        word.parse().expect("ticks")
    };
    let ticks = field(14) + field(15);
    Duration::from_millis(ticks * 1_000 / rustix::param::clock_ticks_per_second())
}

/// Memory that a process holds, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> usize {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).expect("a process");
    let pages = statm.split_whitespace().nth(1).expect("a field");
    pages.parse::<usize>().expect("pages") * rustix::param::page_size()
}

#[test]
fn a_socket_of_another_address_with_the_same_port_is_not_held_here() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let here = listener.local_addr().expect("an address");
    let elsewhere = SocketAddr::from(([127, 0, 0, 2], here.port()));
    let client =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    client.bind(&elsewhere.into()).expect("loopback");
    client.connect(&here.into()).expect("a listener");
    assert_eq!(held_sockets(elsewhere).len(), 1);
    // No process holds the other end before it is accepted.
    assert_eq!(held_sockets(here).len(), 0);
    let _accepted = listener.accept().expect("a connection");
    assert_eq!(held_sockets(here).len(), 1);
}
