//! A state whose records do not fit together is refused by the rehearsal: after `execve`, it would
//! be the end of the node.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

use fantail::core::desk::DeskRecord;
use fantail::core::history::Record;
use fantail::state::{Reader, StateRecord, Writer};
use rustix::fs::{CWD, FileType, MemfdFlags, Mode, SealFlags};

use crate::refused::Watched;
use crate::support::wait_for;

/// Gives the rehearsal another state under the same number: the one whose path the test answers.
const SCRIPT: &str = r#"
case "$FANTAIL_HANDOVER" in check:*) exec $REAL "$@";; esac
number=${FANTAIL_HANDOVER#*:}
cd "$FOLDER"
echo "/proc/$$/fd/$number" > asking
mv asking asked
read -r path < answered
exec bash -c "exec $number<$path"'; exec "$0" "$@"' $REAL "$@"
"#;

type Change = fn(&mut Vec<StateRecord>);

/// A sealed file with the changed records of a state.
fn changed(state: &Path, change: Change) -> File {
    let bytes = fs::read(state).expect("the state");
    let records: Result<_, _> = Reader::new(&bytes).expect("a state").collect();
    let mut records = records.expect("a whole state");
    change(&mut records);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = rustix::fs::memfd_create("changed", flags).expect("a file");
    let mut writer = Writer::new(File::from(file)).expect("memory");
    for record in records {
        let written = match record {
            StateRecord::Node(record) => writer.node(&record),
            StateRecord::Desk(record) => writer.desk(&record),
            StateRecord::Stream(record) => writer.streams(&[record]),
            StateRecord::Counter(record) => writer.counter(&record.name, record.value),
            StateRecord::KeySet(record) => writer.key_set(&record.url, &record.text),
            StateRecord::Listener(record) => writer.listener(&record),
            StateRecord::Http(record) => writer.http(&record),
            StateRecord::Resp(record) => writer.resp(&record),
            StateRecord::History(record) => writer.history(&record),
        };
        written.expect("memory");
    }
    let file = writer.finish().expect("memory");
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals).expect("sealed");
    file
}

/// Answers a rehearsal's question for its state. Returns what must stay open until it has ended.
fn answer(folder: &Path, change: Change) -> (File, File) {
    let state = wait_for("the rehearsal asks", || {
        let asked = fs::read_to_string(folder.join("asked")).ok()?;
        Some(PathBuf::from(asked.trim()))
    });
    let file = changed(&state, change);
    // Open in both directions, so that it does not wait for the other end.
    let pipe = File::options()
        .read(true)
        .write(true)
        .open(folder.join("answered"));
    let mut pipe = pipe.expect("a pipe");
    let (pid, number) = (std::process::id(), file.as_raw_fd());
    writeln!(pipe, "/proc/{pid}/fd/{number}").expect("room");
    (file, pipe)
}

fn without_the_topic(records: &mut Vec<StateRecord>) {
    let mut is_gone = false;
    records.retain(|record| match record {
        StateRecord::Desk(DeskRecord::Store(Record::Topic { name, .. })) => {
            is_gone = &**name == "t";
            !is_gone
        }
        StateRecord::Desk(DeskRecord::Store(Record::Event { .. })) => !is_gone,
        _ => true,
    });
}

fn with_a_subscriber_more(records: &mut Vec<StateRecord>) {
    for record in records {
        if let StateRecord::Desk(DeskRecord::Store(Record::Topic { listeners, .. })) = record {
            listeners.subscribers += 1;
        }
    }
}

#[test]
fn a_state_with_wrong_streams_is_refused_before_the_running_program_ends() {
    let watched = Watched::start(&[]);
    let wrong: [(Change, &str); 2] = [
        (
            without_the_topic,
            "stream number 0: a stream has a topic or a pattern that does not exist",
        ),
        (
            with_a_subscriber_more,
            "are not those that its topics and grants count",
        ),
    ];
    for (change, reason) in wrong {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("answered");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("a pipe");
        let script = format!("FOLDER={}\n{SCRIPT}", folder.path().display());
        watched.upgraded.install_script(&script);
        thread::scope(|scope| {
            let answering = scope.spawn(|| answer(folder.path(), change));
            watched.refused(reason);
            drop(answering.join().expect("it asked"));
        });
    }
    watched.end();
}
