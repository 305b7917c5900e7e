//! The server under test, started and ended by the measurement.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::{Child, Command, Stdio};
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
        let mut words = command.split_whitespace();
        let program = words.next().ok_or_else(|| PerfError::Usage("--server is empty".into()))?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some(cpu) = cpu {
            sched::pin_command(&mut command, cpu);
        }
        let child = command.spawn().map_err(PerfError::io(format!("starting {program}")))?;
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

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("ending the server: {error}");
        }
    }
}
