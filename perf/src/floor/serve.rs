//! The floor servers: one epoll thread, no timers, no state but the sockets.
//!
//! They are told their peers on standard input, one address a line, ended by an empty line, and
//! answer with one line of the ports they took. They end when standard input does.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

use crate::agent::server::dial;
use crate::error::{PerfError, Result};
use crate::sys::poll::Poll;
use crate::sys::{net, sched};
use crate::ws::frame::{self, Reader};
use crate::ws::handshake;

/// Largest datagram or read, in bytes.
pub(super) const READ_BYTES: usize = 65_536;

/// Token of standard input, whose end ends the server.
pub(super) const STDIN: u64 = u64::MAX;

/// Token of the listening socket.
pub(super) const LISTENER: u64 = u64::MAX - 1;

/// Mask of the relay's frames: it is the agent's client, as the server is.
pub(super) const MASK: [u8; 4] = [0xA5, 0x3C, 0x96, 0x0F];

/// Which floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// UDP echo, a connected socket a call.
    Udp,
    /// The same on sockets that are not connected.
    Open,
    /// The same on one port for all calls, many packets a system call.
    Shared,
    /// The same on io_uring.
    #[cfg(feature = "uring")]
    Uring,
    /// WebSocket echo of messages, binary or text.
    Ws,
    /// UDP to WebSocket and back.
    Relay,
    /// UDP to UDP and back, two connected sockets a call.
    Legs,
    /// WebSocket to WebSocket and back.
    Line,
    /// UDP that leaves at its time, which a timer tells.
    Clock,
}

impl Kind {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Open => "open",
            Self::Shared => "shared",
            #[cfg(feature = "uring")]
            Self::Uring => "uring",
            Self::Ws => "ws",
            Self::Relay => "relay",
            Self::Legs => "legs",
            Self::Line => "line",
            Self::Clock => "clock",
        }
    }
}

/// Runs a floor server until standard input ends.
pub(crate) fn run(kind: Kind, cpu: Option<usize>, agent: Option<SocketAddrV4>) -> Result<()> {
    sched::raise_descriptor_limit();
    if let Some(cpu) = cpu {
        sched::pin(0, cpu)?;
    }
    match kind {
        Kind::Udp => udp(&sockets()?),
        Kind::Open => super::shared::run_open(peers()?.len()),
        Kind::Shared => super::shared::run(peers()?.len()),
        #[cfg(feature = "uring")]
        Kind::Uring => {
            let calls = sockets()?;
            super::ring::run(&calls, || announce_udp(&calls))
        }
        Kind::Clock => super::clock::run(&sockets()?),
        Kind::Ws => ws(),
        Kind::Relay => {
            let agent = agent.ok_or_else(|| PerfError::Usage("relay needs --agent".into()))?;
            relay(agent)
        }
        Kind::Legs => {
            let far = agent.ok_or_else(|| PerfError::Usage("legs need --agent".into()))?;
            super::legs::run(&sockets()?, far)
        }
        Kind::Line => {
            let agent = agent.ok_or_else(|| PerfError::Usage("line needs --agent".into()))?;
            super::pair::run(agent)
        }
    }
}

/// The peers named on standard input.
fn peers() -> Result<Vec<SocketAddr>> {
    let mut peers = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        let peer: SocketAddr =
            line.parse().map_err(|_| PerfError::Usage(format!("{line:?} is no address")))?;
        peers.push(peer);
    }
    Ok(peers)
}

/// A connected socket for each of them.
fn sockets() -> Result<Vec<UdpSocket>> {
    let mut sockets = Vec::new();
    for peer in peers()? {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

pub(super) fn announce(ports: impl Iterator<Item = u16>) -> Result<()> {
    let ports: Vec<String> = ports.map(|port| port.to_string()).collect();
    let mut out = io::stdout().lock();
    writeln!(out, "{}", ports.join(" "))?;
    out.flush()?;
    Ok(())
}

pub(super) fn announce_udp(sockets: &[UdpSocket]) -> Result<()> {
    let addresses: io::Result<Vec<_>> = sockets.iter().map(UdpSocket::local_addr).collect();
    announce(addresses?.into_iter().map(|address| address.port()))
}

pub(super) fn watch_stdin(poll: &Poll) -> Result<()> {
    Ok(poll.add(io::stdin().as_raw_fd(), STDIN)?)
}

/// True once standard input has ended.
pub(super) fn stdin_ended() -> bool {
    let mut byte = [0; 64];
    !matches!(io::stdin().lock().read(&mut byte), Ok(1..))
}

fn udp(sockets: &[UdpSocket]) -> Result<()> {
    let mut poll = Poll::new()?;
    for (token, socket) in (0u64..).zip(sockets) {
        poll.add(socket.as_raw_fd(), token)?;
    }
    watch_stdin(&poll)?;
    announce_udp(sockets)?;
    let mut buffer = [0; 2048];
    let mut ready = Vec::new();
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            let Some(socket) = sockets.get(event.token as usize) else { continue };
            if let Ok(length) = socket.recv(&mut buffer) {
                let _ = socket.send(buffer.get(..length).unwrap_or_default());
            }
        }
    }
}

/// The server's side of a handshake, on a blocking socket.
pub(super) fn shake(mut stream: &TcpStream) -> Result<()> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while handshake::head_length(&head).is_none() {
        let count = stream.read(&mut part)?;
        if count == 0 || head.len() > handshake::MAX_HEAD_BYTES {
            return Err(PerfError::Peer("no handshake".into()));
        }
        head.extend_from_slice(part.get(..count).unwrap_or_default());
    }
    let (answer, _) = handshake::respond(&head);
    stream.write_all(&answer)?;
    Ok(())
}

fn ws() -> Result<()> {
    let mut poll = Poll::new()?;
    let listener = TcpListener::from(net::listen(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?);
    poll.add(listener.as_raw_fd(), LISTENER)?;
    watch_stdin(&poll)?;
    announce(std::iter::once(listener.local_addr()?.port()))?;
    let mut streams: Vec<(TcpStream, Reader)> = Vec::new();
    let mut buffer = vec![0; READ_BYTES];
    let (mut out, mut ready) = (Vec::new(), Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            if event.token == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(false)?;
                    stream.set_nodelay(true)?;
                    shake(&stream)?;
                    stream.set_nonblocking(true)?;
                    poll.add(stream.as_raw_fd(), streams.len() as u64)?;
                    streams.push((stream, Reader::default()));
                }
                continue;
            }
            let Some((stream, reader)) = streams.get_mut(event.token as usize) else { continue };
            let count = stream.read(&mut buffer).unwrap_or(0);
            reader.push(buffer.get(..count).unwrap_or_default());
            out.clear();
            while let Ok(Some(frame)) = reader.next() {
                frame::write(&mut out, frame.opcode, reader.payload(&frame), None);
            }
            if count > 0 {
                let _ = stream.write_all(&out);
            } else {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

fn relay(agent: SocketAddrV4) -> Result<()> {
    let calls = sockets()?;
    let mut poll = Poll::new()?;
    let mut streams: Vec<(TcpStream, Reader)> = Vec::new();
    for (token, call) in (0u64..).zip(&calls) {
        let (socket, rest) = dial(agent, "/", [token as u8; 16])?;
        socket.set_nonblocking(true)?;
        let mut reader = Reader::default();
        reader.push(&rest);
        poll.add(call.as_raw_fd(), 2 * token)?;
        poll.add(socket.as_raw_fd(), 2 * token + 1)?;
        streams.push((socket.into(), reader));
    }
    watch_stdin(&poll)?;
    announce_udp(&calls)?;
    let mut buffer = vec![0; READ_BYTES];
    let (mut out, mut ready) = (Vec::new(), Vec::new());
    loop {
        poll.wait_into(None, &mut ready)?;
        for event in &ready {
            if event.token == STDIN && stdin_ended() {
                return Ok(());
            }
            let at = (event.token / 2) as usize;
            let (Some(call), Some((stream, reader))) = (calls.get(at), streams.get_mut(at)) else {
                continue;
            };
            if event.token % 2 == 0 {
                let Ok(length) = call.recv(&mut buffer) else { continue };
                let datagram = buffer.get(..length).unwrap_or_default();
                out.clear();
                frame::write(&mut out, frame::BINARY, datagram, Some(MASK));
                let _ = stream.write_all(&out);
                continue;
            }
            let count = stream.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                let _ = stream.shutdown(std::net::Shutdown::Both);
                return Err(PerfError::Peer("the agent hung up".into()));
            }
            reader.push(buffer.get(..count).unwrap_or_default());
            while let Ok(Some(frame)) = reader.next() {
                let _ = call.send(reader.payload(&frame));
            }
        }
    }
}
