//! Can the ports be bound, and do the agents answer?

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::report::{Report, Status};
use crate::config::{AgentConfig, AgentKind, Config, WebSocketAgent};
use crate::listen::bound;
use crate::sip::core::endpoint::Transport;
use crate::sip::endpoint::sockets::{Listen, listen_key};

/// Longest wait for one agent, whatever its own timeout.
const AGENT_WAIT_MAX: Duration = Duration::from_secs(3);
/// Agents that are asked at the same time.
const AGENTS_AT_ONCE: usize = 32;

/// Binds what the server would bind, and lets go.
pub(super) fn ports(report: &mut Report, config: &Config) {
    let http = config.http.listen;
    tried(report, "http.listen", "TCP", http, TcpListener::bind(http).map(drop));
    if let Some(https) = config.http.tls_listen {
        tried(report, "http.tls_listen", "TCP", https, TcpListener::bind(https).map(drop));
    }
    for Listen { transport, address, .. } in config.sip.places() {
        let outcome = match transport {
            Transport::Udp => UdpSocket::bind(address).map(drop),
            _ => TcpListener::bind(address).map(drop),
        };
        tried(report, listen_key(transport), transport.as_str(), address, outcome);
    }
    for at in &config.audiosocket.listen {
        tried(report, "audiosocket.listen", "TCP", *at, TcpListener::bind(at).map(drop));
    }
    media_ports(report, config);
}

fn tried(
    report: &mut Report,
    key: &'static str,
    protocol: &str,
    address: SocketAddr,
    outcome: io::Result<()>,
) {
    let remedy = match &outcome {
        Ok(()) => {
            report.ok(key, format!("{protocol} {address} is free"));
            return;
        }
        Err(error) => bound::remedy(error.kind()),
    };
    let Err(error) = outcome else { return };
    report.fail(key, format!("{protocol} {address}: {error}"), remedy);
}

fn media_ports(report: &mut Report, config: &Config) {
    for address in &config.rtp.addresses {
        media_ports_of(report, config, *address);
    }
}

fn media_ports_of(report: &mut Report, config: &Config, address: IpAddr) {
    let range = config.rtp.ports;
    let mut busy = Vec::new();
    for port in range.first..=range.last {
        match UdpSocket::bind((address, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => busy.push(port),
            Err(error) => {
                let found = format!("UDP {}: {error}", SocketAddr::new(address, port));
                report.fail("rtp.ports", found, bound::remedy(error.kind()));
                return;
            }
        }
    }
    let free = range.pairs() as usize - pairs(&busy);
    let calls = config.limits.max_calls as usize;
    let found = format!(
        "{free} of {} pairs of UDP ports {range} on {address} are free for {calls} calls",
        range.pairs()
    );
    match busy.first() {
        None => report.ok("rtp.ports", found),
        Some(port) if free >= calls => {
            report.warn("rtp.ports", found, &format!("port {port} and others are in use"));
        }
        Some(port) => {
            let remedy = format!("port {port} and others are in use: choose another range");
            report.fail("rtp.ports", found, &remedy);
        }
    }
}

/// Pairs that have at least one of the ascending `ports`.
fn pairs(ports: &[u16]) -> usize {
    let mut pairs: Vec<u16> = ports.iter().map(|port| port / 2).collect();
    pairs.dedup();
    pairs.len()
}

/// Connects to each agent that is dialled, several at a time.
pub(super) fn agents(report: &mut Report, config: &Config) {
    for group in config.agents.chunks(AGENTS_AT_ONCE) {
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                group.iter().map(|agent| scope.spawn(move || reach(agent))).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        for (status, found) in answers {
            match status {
                Status::Ok => report.ok("agents", found),
                Status::Warn => report.warn("agents", found, "start it before the first call"),
                Status::Fail => {
                    let remedy = "correct the agent's url, or start the agent; calls to it fail";
                    report.fail("agents", found, remedy);
                }
            }
        }
    }
}

fn reach(agent: &AgentConfig) -> (Status, String) {
    let name = &agent.name;
    match &agent.kind {
        AgentKind::Builtin(_) => (Status::Ok, format!("{name}: built in")),
        AgentKind::Sip(sip) => {
            let by =
                sip.trunk.as_ref().map(|trunk| format!(" through {trunk}")).unwrap_or_default();
            (Status::Ok, format!("{name}: called by SIP{by}, unproven"))
        }
        AgentKind::WebSocket(WebSocketAgent { url: None, .. }) => {
            (Status::Ok, format!("{name}: attaches by itself"))
        }
        AgentKind::Rtp(rtp) => match route_to(rtp.address) {
            Ok(()) => (Status::Ok, format!("{name}: RTP to {}, unproven", rtp.address)),
            Err(error) => (Status::Fail, format!("{name}: no way to {}: {error}", rtp.address)),
        },
        AgentKind::WebSocket(socket) => {
            let Some(url) = &socket.url else { return (Status::Ok, name.clone()) };
            match connect(&url.host, url.port, socket.connect_timeout.min(AGENT_WAIT_MAX)) {
                Ok(address) => (Status::Ok, format!("{name}: {url} answers at {address}")),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    (Status::Warn, format!("{name}: nobody listens at {url}"))
                }
                Err(error) => (Status::Fail, format!("{name}: {url}: {error}")),
            }
        }
    }
}

/// Asks the kernel whether packets could leave for `address`; sends none.
fn route_to(address: SocketAddr) -> io::Result<()> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(any)?.connect(address)
}

/// Connects to the first address of `host` that answers.
fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<SocketAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}
