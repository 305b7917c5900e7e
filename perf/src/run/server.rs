//! The server under test, started and ended by the measurement.

use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::error::{PerfError, Result};
use crate::sys::clock::{self, SECOND_NS};
use crate::sys::{proc, sched};

/// A server that has not answered OPTIONS after this long does not start.
const START_NS: u64 = 15 * SECOND_NS;

/// Its memory is steady if two readings so far apart are the same.
const STEADY: Duration = Duration::from_millis(500);
/// Readings before what it holds counts as steady all the same.
const STEADY_READINGS_MAX: usize = 8;

/// How long a server may take to end after SIGTERM.
const STOP_NS: u64 = 10 * SECOND_NS;

/// The server as a process of its own; it is ended when this is dropped.
pub(crate) struct Server {
    child: Child,
}

impl Server {
    /// Starts it, on its CPU if it has one, and waits until it answers at `sip`.
    pub(crate) fn start(command: &str, sip: SocketAddrV4, cpu: Option<usize>) -> Result<Self> {
        Self::start_with(command, sip, cpu, &[])
    }

    /// The same with variables of its environment.
    pub(crate) fn start_with(
        command: &str,
        sip: SocketAddrV4,
        cpu: Option<usize>,
        variables: &[(&str, &str)],
    ) -> Result<Self> {
        let mut command = words(command, cpu)?;
        command.envs(variables.iter().copied());
        command.stdout(Stdio::null());
        let child = command.spawn().map_err(PerfError::io("starting the server"))?;
        let mut server = Self { child };
        server.wait_ready(sip)?;
        server.wait_steady();
        Ok(server)
    }

    /// Waits until it holds as much memory as it does without calls: it may answer before all of
    /// it has started.
    fn wait_steady(&self) {
        let mut before = 0;
        for _ in 0..STEADY_READINGS_MAX {
            let now = proc::process(self.pid()).rss_kib;
            if now == before {
                return;
            }
            before = now;
            std::thread::sleep(STEADY);
        }
    }

    /// Starts it with its data in `folder`, which is empty, and HTTP on a free port; waits for what
    /// it tells of itself.
    pub(crate) fn start_in(
        folder: &Path,
        command: &str,
        cpu: Option<usize>,
    ) -> Result<(Self, Told)> {
        let mut command = words(command, cpu)?;
        command.env("TALKPATH_DATA_DIR", folder).env("TALKPATH_HTTP_LISTEN", "127.0.0.1:0");
        command.stdout(Stdio::piped());
        let child = command.spawn().map_err(PerfError::io("starting the server"))?;
        let mut server = Self { child };
        let said = server.child.stdout.take().map(listen).transpose()?;
        let told = said.and_then(|said| Told::hear(&said));
        let told = told.ok_or_else(|| PerfError::Peer("the server does not start".into()))?;
        Ok((server, told))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server answers OPTIONS.
    fn wait_ready(&mut self, sip: SocketAddrV4) -> Result<()> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(sip)?;
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let local = socket.local_addr()?;
        let end = clock::mono_ns() + START_NS;
        for cseq in 1.. {
            let ask = format!(
                "OPTIONS sip:{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {local};rport;branch=z9hG4bKo{cseq}\
                 \r\nMax-Forwards: 70\r\nFrom: <sip:perf@{local}>;tag=o\r\nTo: <sip:{sip}>\r\n\
                 Call-ID: options-{cseq}\r\nCSeq: {cseq} OPTIONS\r\nContent-Length: 0\r\n\r\n"
            );
            let mut answer = [0; 2048];
            // A refused datagram (ICMP) is an error of either call: not up yet.
            let sent = socket.send(ask.as_bytes());
            if sent.is_ok() && socket.recv(&mut answer).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(PerfError::Peer(format!("the server ended: {status}")));
            }
            if clock::mono_ns() > end {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(PerfError::Peer(format!("no answer to OPTIONS from {sip}")))
    }

    fn stop(&mut self) -> io::Result<()> {
        sched::terminate(&self.child);
        let end = clock::mono_ns() + STOP_NS;
        while clock::mono_ns() < end {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

/// What a server tells of itself when it starts for the first time.
pub(crate) struct Told {
    /// Its API key.
    pub(crate) key: String,
    /// Where HTTP listens.
    pub(crate) http: SocketAddrV4,
}

impl Told {
    fn hear(said: &Receiver<String>) -> Option<Self> {
        let mut key = None;
        let end = clock::mono_ns() + START_NS;
        loop {
            let left = Duration::from_nanos(end.saturating_sub(clock::mono_ns()));
            let line = said.recv_timeout(left).ok()?;
            if let Some((_, told)) = line.split_once("API key, shown only now: ") {
                key = Some(told.trim().to_owned());
            }
            if let Some((_, http)) = line.split_once(", HTTP on http://") {
                return Some(Self { key: key?, http: http.trim().parse().ok()? });
            }
        }
    }
}

/// Takes all that the server says, to the end, so that it never waits for a full pipe.
fn listen(said: ChildStdout) -> Result<Receiver<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new().name("told".into()).spawn(move || {
        for line in BufReader::new(said).lines().map_while(io::Result::ok) {
            // Nobody waits for what comes later.
            let _ = sender.send(line);
        }
    })?;
    Ok(receiver)
}

/// The command, on its CPU if it has one.
fn words(command: &str, cpu: Option<usize>) -> Result<Command> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| PerfError::Usage("--server is empty".into()))?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null());
    if let Some(cpu) = cpu {
        sched::pin_command(&mut command, cpu);
    }
    Ok(command)
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("ending the server: {error}");
        }
    }
}
