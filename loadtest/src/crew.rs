//! The client processes, as the coordinator sees them.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::message::{Answer, Checked, Job, Order, Progress, Sample};
use crate::reader::ids::Ids;

/// File descriptors of a client process that are not streams, with room to spare.
const RESERVED_FILES: usize = 64;
/// Longest pause between two updates of the caller's display.
const LOOK: Duration = Duration::from_millis(50);

/// Why the client processes failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrewError {
    /// One could not be started.
    #[error("starting a client process: {0}")]
    Start(io::Error),
    /// One has ended.
    #[error("a client process has ended: {0}")]
    Ended(String),
    /// A process sent another message.
    #[error("a client process said what nobody asked: {0:?}")]
    Unasked(Box<Answer>),
    /// The file limit could not be raised.
    #[error("raising the limit on open files: {0}")]
    Files(io::Error),
}

/// All client processes.
pub(crate) struct Crew {
    members: Vec<Member>,
    answers: Receiver<(usize, Option<Answer>)>,
    progress: Vec<Progress>,
}

struct Member {
    process: Child,
    orders: ChildStdin,
}

/// Raises the file limit of this process (its children inherit it) and returns how many streams one
/// process can hold.
pub(crate) fn streams_per_process() -> Result<usize, CrewError> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, limit).map_err(|error| CrewError::Files(error.into()))?;
    let files = maximum.map_or(usize::MAX, |files| files as usize);
    Ok(files.saturating_sub(RESERVED_FILES).max(1))
}

impl Crew {
    /// Starts this program again, `job.processes` times.
    pub(crate) fn start(job: &Job) -> Result<Self, CrewError> {
        let (say, answers) = mpsc::channel();
        let mut members = Vec::new();
        for process in 0..job.processes {
            let job = Job {
                process,
                ..job.clone()
            };
            members.push(Member::start(&job, say.clone())?);
        }
        Ok(Self {
            answers,
            progress: vec![Progress::default(); members.len()],
            members,
        })
    }

    /// Process ids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.members
            .iter()
            .map(|member| member.process.id())
            .collect()
    }

    /// The sum of the last progress of all of them.
    pub(crate) fn progress(&self) -> Progress {
        let mut sum = Progress::default();
        for each in &self.progress {
            sum.at = sum.at.max(each.at);
            sum.open += each.open;
            sum.opened += each.opened;
            sum.opened_at = sum.opened_at.max(each.opened_at);
            sum.cut += each.cut;
            sum.failed += each.failed;
            sum.received += each.received;
            sum.reached += each.reached;
        }
        sum
    }

    /// Reads arrived messages, without waiting.
    pub(crate) fn look(&mut self) -> Result<Progress, CrewError> {
        while let Ok((member, answer)) = self.answers.try_recv() {
            if let Some(other) = self.note(member, answer)? {
                return Err(CrewError::Unasked(Box::new(other)));
            }
        }
        Ok(self.progress())
    }

    /// Has tokens made for `streams` streams in all.
    pub(crate) fn make_tokens(&mut self, streams: usize) -> Result<(), CrewError> {
        let processes = self.members.len();
        self.tell(|p| Order::MakeTokens {
            streams: share(streams, p, processes),
        })?;
        self.collect(|_| {}).map(drop)
    }

    /// Has streams opened up to this number in all, distributed evenly; returns the time of the
    /// last one.
    pub(crate) fn open(
        &mut self,
        streams: usize,
        rate: Option<f64>,
        show: impl FnMut(Progress),
    ) -> Result<u64, CrewError> {
        let processes = self.members.len();
        self.tell(|p| Order::Open {
            streams: share(streams, p, processes),
            rate: rate.map(|rate| rate / processes as f64),
        })?;
        let answers = self.collect(show)?;
        Ok(answers
            .iter()
            .map(|answer| match answer {
                Answer::Opened { at } => *at,
                _ => 0,
            })
            .max()
            .unwrap_or(0))
    }

    /// Makes every process watch for the first `events` events; [`Crew::reached`] waits for them.
    pub(crate) fn expect(&mut self, events: u64) -> Result<(), CrewError> {
        self.tell(|_| Order::Reach { events })
    }

    /// Waits until every stream has its events, or the wait is in vain; returns the time of the
    /// last event (zero if none arrived), and the streams that still wait.
    pub(crate) fn reached(
        &mut self,
        show: impl FnMut(Progress),
    ) -> Result<(u64, usize), CrewError> {
        let mut last = 0;
        let mut waiting = 0;
        for answer in self.collect(show)? {
            if let Answer::Reached { at, behind } = answer {
                last = last.max(at);
                waiting += behind;
            }
        }
        Ok((last, waiting))
    }

    /// Reports that the server refused these events.
    pub(crate) fn refused(&mut self, events: &[u64]) -> Result<(), CrewError> {
        self.tell(|_| Order::Refused {
            events: events.to_vec(),
        })
    }

    /// Has the positions of this many streams noted.
    pub(crate) fn remember(&mut self, streams: usize) -> Result<(), CrewError> {
        let processes = self.members.len();
        self.tell(|p| Order::Remember {
            streams: share(streams, p, processes),
        })
    }

    /// Has a stream opened at each of the noted positions.
    pub(crate) fn open_late(&mut self) -> Result<(), CrewError> {
        self.tell(|_| Order::OpenLate)
    }

    /// The latencies since the last time, of all processes.
    pub(crate) fn sample(&mut self) -> Result<Sample, CrewError> {
        self.tell(|_| Order::Sample)?;
        let mut sum = Sample::default();
        for answer in self.collect(|_| {})? {
            if let Answer::Sampled(sample) = answer {
                sum.delivery.extend(sample.delivery);
                sum.replay.extend(sample.replay);
                sum.slow.extend(sample.slow);
                sum.open.extend(sample.open);
                sum.away.extend(sample.away);
            }
        }
        Ok(sum)
    }

    /// Has an order carried out that is answered at once.
    pub(crate) fn do_now(&mut self, order: &Order) -> Result<(), CrewError> {
        self.tell(|_| order.clone())?;
        self.collect(|_| {}).map(drop)
    }

    /// Has every stream checked, now that `events` were published.
    pub(crate) fn check(&mut self, events: u64) -> Result<Checked, CrewError> {
        self.tell(|_| Order::Check { events })?;
        let mut sum = Checked::default();
        for answer in self.collect(|_| {})? {
            if let Answer::Checked(checked) = answer {
                sum.add(checked);
            }
        }
        Ok(sum)
    }

    /// The ids with which events came to all processes, and how many events had another id in one
    /// process than in another.
    pub(crate) fn ids(&mut self) -> Result<(Ids, u64), CrewError> {
        self.tell(|_| Order::Ids)?;
        let (mut ids, mut unlike) = (Ids::default(), 0);
        for answer in self.collect(|_| {})? {
            if let Answer::Ids(texts) = answer {
                unlike += ids.add(&Ids::from_texts(&texts));
            }
        }
        Ok((ids, unlike))
    }

    fn tell(&mut self, order: impl Fn(usize) -> Order) -> Result<(), CrewError> {
        for number in 0..self.members.len() {
            let line = line(&order(number));
            if self.members[number].orders.write_all(&line).is_err() {
                return Err(self.ended(number));
            }
        }
        Ok(())
    }

    /// Waits for one answer of every process.
    fn collect(&mut self, mut show: impl FnMut(Progress)) -> Result<Vec<Answer>, CrewError> {
        let mut answers = Vec::new();
        while answers.len() < self.members.len() {
            match self.answers.recv_timeout(LOOK) {
                Ok((member, answer)) => {
                    answers.extend(self.note(member, answer)?);
                    show(self.progress());
                }
                Err(RecvTimeoutError::Timeout) => show(self.progress()),
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended(0)),
            }
        }
        show(self.progress());
        Ok(answers)
    }

    /// Records progress; returns every other answer.
    fn note(&mut self, member: usize, answer: Option<Answer>) -> Result<Option<Answer>, CrewError> {
        match answer {
            None => Err(self.ended(member)),
            Some(Answer::Progress(progress)) => {
                self.progress[member] = progress;
                Ok(None)
            }
            other => Ok(other),
        }
    }

    fn ended(&mut self, member: usize) -> CrewError {
        let process = &mut self.members[member].process;
        // It may still run, and wait for orders that it does not understand.
        let _ = process.kill();
        let status = process.wait();
        CrewError::Ended(status.map_or_else(|error| error.to_string(), |status| status.to_string()))
    }
}

impl Member {
    fn start(job: &Job, say: mpsc::Sender<(usize, Option<Answer>)>) -> Result<Self, CrewError> {
        let program = std::env::current_exe().map_err(CrewError::Start)?;
        let mut process = Command::new(&program)
            .arg("reader")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(CrewError::Start)?;
        let (Some(mut orders), Some(answers)) = (process.stdin.take(), process.stdout.take())
        else {
            return Err(CrewError::Start(io::ErrorKind::BrokenPipe.into()));
        };
        orders.write_all(&line(job)).map_err(CrewError::Start)?;
        let number = job.process;
        std::thread::spawn(move || {
            for text in BufReader::new(answers).lines() {
                let answer = text.ok().and_then(|text| serde_json::from_str(&text).ok());
                let over = answer.is_none();
                if say.send((number, answer)).is_err() || over {
                    return;
                }
            }
            // Its end is reported like its other messages.
            let _ = say.send((number, None));
        });
        Ok(Self { process, orders })
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // A client process holds nothing that its end could damage.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Checked {
    fn add(&mut self, other: Self) {
        self.tally.received += other.tally.received;
        self.tally.doubled += other.tally.doubled;
        self.tally.out_of_order += other.tally.out_of_order;
        self.tally.foreign += other.tally.foreign;
        self.tally.gaps += other.tally.gaps;
        self.tally.ids_fell += other.tally.ids_fell;
        self.tally.ids_differ += other.tally.ids_differ;
        self.hops += other.hops;
        self.faults.add(other.faults);
        self.lost += other.lost;
        self.gap_told += other.gap_told;
        self.missed_closed += other.missed_closed;
        self.open += other.open;
        self.away += other.away;
        self.refused += other.refused;
        self.closed += other.closed;
        self.returned += other.returned;
        self.returned_without_cursor += other.returned_without_cursor;
        self.cut += other.cut;
        self.sent_away += other.sent_away;
        self.pause = self.pause.max(other.pause);
        self.silence.extend(other.silence);
        self.claims.extend(other.claims);
        self.gaps_beyond += other.gaps_beyond;
        self.late += other.late;
        self.late_lost += other.late_lost;
        self.late_told += other.late_told;
        for (text, count) in other.reasons {
            match self.reasons.iter_mut().find(|(known, _)| *known == text) {
                Some((_, sum)) => *sum += count,
                None => self.reasons.push((text, count)),
            }
        }
    }
}

/// Number of the streams of process `p`. It owns the streams `p`, `p + P`, …: of the total these
/// are the rounded-up share of the rest from `p` on.
fn share(streams: usize, p: usize, processes: usize) -> usize {
    streams.saturating_sub(p).div_ceil(processes)
}

fn line(message: &impl serde::Serialize) -> Vec<u8> {
    // Messages are plain structures of numbers and texts, which JSON can always write.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}
