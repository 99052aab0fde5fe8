//! A client process: holds its share of the streams in one event loop and does what the coordinator says.
//!
//! Worker `w` of `W` owns the streams `w`, `w + W`, `w + 2W`, …; within the process they are numbered from zero.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use anyhow::Context;
use mio::event::Event;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::args::{Args, Share};
use crate::layout::Layout;
use crate::protocol::{Command, Reply};
use crate::stream::{Broken, Stream, Tally};

/// Standard input's token; the streams' tokens are their numbers.
const CONTROL: Token = Token(usize::MAX);
/// Events taken from the kernel at once.
const EVENTS_PER_POLL: usize = 1024;
/// Bytes read from a stream at once.
const READ_BYTES: usize = 64 * 1024;
/// Streams that share a source address. Their ports are told apart by us, so the kernel searches none.
const STREAMS_PER_ADDRESS: usize = 1_000;
/// First source port; below the usual ephemeral range and above the usual servers.
const SOURCE_PORT_FIRST: u16 = 20_000;
/// Source addresses tried for one stream before it counts as failed.
const SOURCE_ATTEMPTS: usize = 16;

/// Holds `share` of the streams until standard input ends.
pub(crate) fn run(args: &Args, share: Share) -> anyhow::Result<()> {
    let layout = Layout::new(args)?;
    let poll = Poll::new()?;
    let control = io::stdin();
    rustix::io::ioctl_fionbio(&control, true)?;
    poll.registry()
        .register(
            &mut SourceFd(&control.as_raw_fd()),
            CONTROL,
            Interest::READABLE,
        )
        .context("standard input must be a pipe; this flag is for the tool itself")?;
    let mut worker = Worker {
        args,
        share,
        layout,
        poll,
        streams: Vec::new(),
        target: 0,
        connecting: 0,
        ended: 0,
        reason: String::new(),
        next_source: 0,
        tally: Tally::default(),
        waiting: None,
        progress: Instant::now(),
    };
    worker.serve(control)
}

struct Worker<'a> {
    args: &'a Args,
    share: Share,
    layout: Layout,
    poll: Poll,
    /// By number; `None` once ended.
    streams: Vec<Option<Stream>>,
    target: usize,
    connecting: usize,
    ended: usize,
    reason: String,
    next_source: usize,
    tally: Tally,
    /// The command that is still to be answered.
    waiting: Option<Command>,
    progress: Instant,
}

impl Worker<'_> {
    fn serve(&mut self, mut control: io::Stdin) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut buffer = vec![0; READ_BYTES];
        let mut commands = String::new();
        loop {
            self.connect_more()?;
            self.answer()?;
            // While a command waits, wake up now and then to see that its time has not run out.
            let timeout = self.waiting.map(|_| Duration::from_millis(100));
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => result?,
            }
            for event in &events {
                if event.token() != CONTROL {
                    self.ready(event, &mut buffer)?;
                } else if !read_available(&mut control, &mut commands)? {
                    return Ok(());
                }
            }
            while let Some(end) = commands.find('\n') {
                let line: String = commands.drain(..=end).collect();
                self.command(line.parse()?);
            }
        }
    }

    fn command(&mut self, command: Command) {
        if let Command::Open(count) = command {
            self.target = count;
        }
        self.waiting = Some(command);
        self.progress = Instant::now();
    }

    /// Answers the waiting command if it is fulfilled or has made no progress for too long.
    fn answer(&mut self) -> anyhow::Result<()> {
        let Some(command) = self.waiting else {
            return Ok(());
        };
        let late = self.progress.elapsed() > self.args.timeout;
        let reply = match command {
            Command::Open(count) if late || self.streams.len() == count && self.connecting == 0 => {
                let open = self.streams.len() - self.connecting - self.ended;
                Reply::Opened {
                    open,
                    failed: count - open,
                    reason: std::mem::take(&mut self.reason),
                }
            }
            Command::Expect(deliveries) if late || self.tally.deliveries >= deliveries => {
                Reply::Reached(self.tally.deliveries)
            }
            Command::Check(events) => self.check(events),
            Command::Open(_) | Command::Expect(_) => return Ok(()),
        };
        self.waiting = None;
        let mut out = io::stdout().lock();
        writeln!(out, "{reply}")?;
        out.flush().context("the coordinator is gone")
    }

    fn check(&self, events: u64) -> Reply {
        let (mut lost, mut surplus) = (0, 0);
        for (number, stream) in self.streams.iter().enumerate() {
            if let Some(stream) = stream {
                let due = self.layout.due(self.global(number), events);
                let got = u64::from(stream.got());
                lost += due.saturating_sub(got);
                surplus += got.saturating_sub(due);
            }
        }
        Reply::Checked {
            lost,
            doubled: self.tally.doubled,
            // What another topic's stream should have got is as foreign as a gap.
            other: self.tally.other + surplus,
            ended: self.ended,
        }
    }

    /// The number of a stream among all workers' streams.
    fn global(&self, number: usize) -> usize {
        number * self.share.of + self.share.number
    }

    fn connect_more(&mut self) -> anyhow::Result<()> {
        while self.streams.len() < self.target && self.connecting < self.args.connecting {
            let number = self.streams.len();
            match self.connect() {
                Ok(mut socket) => {
                    self.poll.registry().register(
                        &mut socket,
                        Token(number),
                        Interest::READABLE | Interest::WRITABLE,
                    )?;
                    self.streams.push(Some(Stream::new(socket)));
                    self.connecting += 1;
                }
                Err(error) => {
                    self.streams.push(None);
                    self.end(&format!("connect: {error}"));
                }
            }
        }
        Ok(())
    }

    /// Starts one connection from a source address and port of its own: one address has too few ports for all streams.
    fn connect(&mut self) -> io::Result<TcpStream> {
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for _ in 0..SOURCE_ATTEMPTS {
            result = self.connect_once();
            let taken = |error: &io::Error| {
                matches!(
                    error.kind(),
                    io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable
                )
            };
            if !result.as_ref().is_err_and(taken) {
                break;
            }
        }
        result
    }

    fn connect_once(&mut self) -> io::Result<TcpStream> {
        let socket = Socket::new(
            Domain::for_address(self.args.target),
            Type::STREAM.nonblocking(),
            None,
        )?;
        socket.set_reuse_address(true)?;
        // The end of the process resets its connections, so that no run leaves thousands in TIME_WAIT to the next.
        socket.set_linger(Some(Duration::ZERO))?;
        if self.args.target.ip().is_ipv4() && self.args.target.ip().is_loopback() {
            socket.bind(&SockAddr::from(self.source()))?;
        }
        match socket.connect(&SockAddr::from(self.args.target)) {
            Err(error)
                if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
            {
                Err(error)
            }
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    /// The next source address and port. Every run of the tool starts at another address of 127.0.0.0/8.
    fn source(&mut self) -> SocketAddrV4 {
        let n = self.next_source;
        self.next_source += 1;
        let run = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get() as usize);
        let address =
            run.wrapping_mul(7_919) + n / STREAMS_PER_ADDRESS * self.share.of + self.share.number;
        // 127.1.0.1 and up: 127.0.0.x is where the servers are.
        let address = 1 + (1 << 16) + address % ((1 << 24) - (1 << 17));
        let port = SOURCE_PORT_FIRST + (n % STREAMS_PER_ADDRESS) as u16;
        SocketAddrV4::new(Ipv4Addr::from((127 << 24) | address as u32), port)
    }

    fn ready(&mut self, event: &Event, buffer: &mut [u8]) -> anyhow::Result<()> {
        let number = event.token().0;
        let Some(stream) = self.streams.get_mut(number).and_then(Option::as_mut) else {
            return Ok(());
        };
        let open = |stream: &Stream| stream.primed() || self.args.no_prime && stream.answered();
        let was_open = open(stream);
        let before = self.tally.deliveries;
        let result = if stream.connecting() {
            let path = self
                .layout
                .path(&self.args.path, number * self.share.of + self.share.number);
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n\r\n",
                self.args.target
            );
            send_request(stream, head.as_bytes())
        } else {
            Ok(())
        }
        .and_then(|()| read_all(stream, event, buffer, &mut self.tally));
        let opened = !was_open && open(stream);
        if opened || self.tally.deliveries != before {
            self.progress = Instant::now();
        }
        if opened {
            self.connecting -= 1;
        }
        if let Err(error) = result {
            if !was_open && !opened {
                self.connecting -= 1;
            }
            self.streams[number] = None;
            self.end(&error.to_string());
        }
        Ok(())
    }

    fn end(&mut self, reason: &str) {
        self.ended += 1;
        if self.reason.is_empty() {
            reason.clone_into(&mut self.reason);
        }
    }
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Broken(#[from] Broken),
    #[error("the server closed the stream")]
    Closed,
}

fn send_request(stream: &mut Stream, head: &[u8]) -> Result<(), End> {
    if let Some(error) = stream.socket.take_error()? {
        return Err(error.into());
    }
    match stream.socket.write(head) {
        // A fresh socket's buffer takes any request that this tool makes.
        Ok(sent) if sent == head.len() => stream.sent(),
        Ok(_) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
        Err(error) if would_wait(&error) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Reads until the socket has no more.
fn read_all(
    stream: &mut Stream,
    event: &Event,
    buffer: &mut [u8],
    tally: &mut Tally,
) -> Result<(), End> {
    if stream.connecting() || !event.is_readable() {
        return Ok(());
    }
    loop {
        match stream.socket.read(buffer) {
            Ok(0) => return Err(End::Closed),
            Ok(n) => {
                stream.feed(&buffer[..n], tally)?;
                // A short read has emptied the socket: whatever comes later raises a new event.
                if n < buffer.len() && !event.is_read_closed() {
                    return Ok(());
                }
            }
            Err(error) if would_wait(&error) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Appends what standard input has; false at its end.
fn read_available(control: &mut io::Stdin, into: &mut String) -> io::Result<bool> {
    let mut bytes = [0; 256];
    loop {
        match control.read(&mut bytes) {
            Ok(0) => return Ok(false),
            Ok(n) => into.push_str(&String::from_utf8_lossy(&bytes[..n])),
            Err(error) if would_wait(&error) => return Ok(true),
            Err(error) => return Err(error),
        }
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected
    )
}
