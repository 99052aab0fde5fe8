//! System calls of a real node fail, one at a time, and the node is killed between them: strace lets
//! them. The hand-over and the history file survive it.

#[allow(dead_code)]
#[path = "../upgrade/node.rs"]
mod upgraded;

/// The history file: old or new, never a mixture.
mod history;
/// The next program, once it has taken over: it cannot go back.
mod next;
/// The running program and the children that check and rehearse: all can go back.
mod running;
/// strace, attached to a process or started with one.
mod strace;
