//! Finding the servers behind a SIP URI (RFC 3263 4): which questions DNS is asked, and what
//! follows from the answers. Who asks them is not known here.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::endpoint::Transport;
use super::uri::{Scheme, Uri};

/// Servers of one URI that are tried, at most.
pub const TARGETS_MAX: usize = 16;
/// Questions that one URI may lead to: a zone cannot keep us busy.
pub const QUESTIONS_MAX: usize = 32;

/// A server to send requests to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// How.
    pub transport: Transport,
    /// Where.
    pub peer: SocketAddr,
    /// The host of the URI: what TLS must prove (RFC 5922 7.1).
    pub name: Arc<str>,
}

/// What DNS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// NAPTR records of a name.
    Naptr(String),
    /// SRV records of a name.
    Srv(String),
    /// A and AAAA records of a name.
    Addresses(String),
}

/// A NAPTR record (RFC 3403).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// Lowest first.
    pub order: u16,
    /// Lowest first among those of an order.
    pub preference: u16,
    /// `s` for a name with SRV records.
    pub flags: String,
    /// Such as `SIP+D2U`.
    pub service: String,
    /// The name to go on with.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lowest first.
    pub priority: u16,
    /// Share among those of a priority.
    pub weight: u16,
    /// Port of the server.
    pub port: u16,
    /// Its name; `.` says that there is no such service.
    pub target: String,
}

/// What DNS answered; nothing if there are no such records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Naptr`].
    Naptr(Vec<Naptr>),
    /// To [`Question::Srv`].
    Srv(Vec<Srv>),
    /// To [`Question::Addresses`].
    Addresses(Vec<IpAddr>),
}

/// Why a URI leads nowhere, without any question asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// The URI is malformed, or of another scheme.
    #[error("no SIP URI")]
    Uri,
    /// A transport that is not known, or contradicts the scheme.
    #[error("transport {0} cannot be used")]
    Transport(String),
    /// A transport that we have, but not switched on or not for that address family.
    #[error("SIP over {} is not enabled", .0.as_str())]
    Disabled(Transport),
}

enum Step {
    Naptr { name: String },
    Srv { name: String, transport: Transport },
    Addresses { name: String, transport: Transport, port: u16 },
}

/// Follows one URI to its servers.
pub struct Locator {
    name: Arc<str>,
    secure: bool,
    /// Transports that we can send by, and whether over IPv4, best first.
    able: Vec<(Transport, bool)>,
    steps: VecDeque<Step>,
    /// What is asked if all else found nothing.
    last: Option<Step>,
    asked: usize,
    targets: Vec<Target>,
}

impl Locator {
    /// Begins with a URI. `able` are the transports that we can send by, and whether over IPv4; of
    /// what a zone leaves open, the first is preferred.
    ///
    /// # Errors
    /// [`LocateError`].
    pub fn new(uri: &Uri<'_>, able: &[(Transport, bool)]) -> Result<Self, LocateError> {
        if !matches!(uri.scheme, Scheme::Sip | Scheme::Sips) {
            return Err(LocateError::Uri);
        }
        let host = uri.host.ok_or(LocateError::Uri)?;
        let named = Transport::of_uri(uri).map_err(|name| LocateError::Transport(name.into()))?;
        if let Some(named) = named
            && !able.iter().any(|(transport, _)| *transport == named)
        {
            return Err(LocateError::Disabled(named));
        }
        let name = host.address().map_or_else(|| host.to_string(), |ip| ip.to_string());
        let mut locator = Self {
            name: name.as_str().into(),
            secure: uri.scheme == Scheme::Sips,
            able: able.to_vec(),
            steps: VecDeque::new(),
            last: None,
            asked: 0,
            targets: Vec::new(),
        };
        locator.begin(host.address(), named, uri.port.filter(|port| *port != 0), name)?;
        Ok(locator)
    }

    fn begin(
        &mut self,
        address: Option<IpAddr>,
        named: Option<Transport>,
        port: Option<u16>,
        name: String,
    ) -> Result<(), LocateError> {
        // RFC 3263 4.1: an address or a port leaves no choice but UDP, or TCP where that is off.
        let plain = [Transport::Udp, Transport::Tcp, Transport::Tls];
        let able = |wanted: Transport| self.able.iter().any(|(transport, _)| *transport == wanted);
        let usual = plain.into_iter().find(|transport| able(*transport));
        let transport = named.or(usual).ok_or(LocateError::Disabled(Transport::Udp))?;
        let at = port.unwrap_or(transport.default_port());
        let addresses = Step::Addresses { name: name.clone(), transport, port: at };
        match (address, port, named) {
            (Some(ip), ..) => {
                self.found(ip, transport, at);
                if self.targets.is_empty() {
                    return Err(LocateError::Disabled(transport));
                }
            }
            (None, Some(_), _) => self.steps.push_back(addresses),
            // RFC 7118 says nothing of SRV: the host is what HTTP would make of it.
            (None, None, Some(Transport::Ws | Transport::Wss)) => self.steps.push_back(addresses),
            (None, None, Some(transport)) => {
                self.steps.push_back(srv(&name, transport));
                self.last = Some(addresses);
            }
            (None, None, None) => {
                self.steps.push_back(Step::Naptr { name });
                self.last = Some(addresses);
            }
        }
        Ok(())
    }

    /// What is to be asked now; none once everything is found.
    pub fn question(&self) -> Option<Question> {
        if self.asked >= QUESTIONS_MAX || self.targets.len() >= TARGETS_MAX {
            return None;
        }
        let last = self.last.as_ref().filter(|_| self.targets.is_empty());
        Some(match self.steps.front().or(last)? {
            Step::Naptr { name } => Question::Naptr(name.clone()),
            Step::Srv { name, .. } => Question::Srv(name.clone()),
            Step::Addresses { name, .. } => Question::Addresses(name.clone()),
        })
    }

    /// The answer to [`Locator::question`]. `random` gives a number from 0 to its argument.
    pub fn answer(&mut self, answer: Answer, random: impl FnMut(u32) -> u32) {
        self.asked += 1;
        let step = self.steps.pop_front().or_else(|| self.last.take());
        match (step, answer) {
            (Some(Step::Naptr { name }), Answer::Naptr(records)) => self.choose(&name, records),
            (Some(Step::Srv { transport, .. }), Answer::Srv(records)) => {
                let servers = order(records, random).into_iter();
                let steps = servers.filter(|record| record.target != ".").map(|record| {
                    Step::Addresses { name: record.target, transport, port: record.port }
                });
                for (index, step) in steps.enumerate() {
                    self.steps.insert(index.min(self.steps.len()), step);
                }
            }
            (Some(Step::Addresses { transport, port, .. }), Answer::Addresses(addresses)) => {
                for ip in addresses {
                    self.found(ip, transport, port);
                }
            }
            // An answer to something else: as if there were none.
            _ => {}
        }
    }

    /// Which services a zone offers (RFC 3263 4.1); without any, those that it may have all the
    /// same.
    fn choose(&mut self, name: &str, mut records: Vec<Naptr>) {
        records.sort_by_key(|record| (record.order, record.preference));
        for record in records {
            let transport = match record.service.to_ascii_uppercase().as_str() {
                "SIPS+D2T" => Transport::Tls,
                "SIP+D2T" => Transport::Tcp,
                "SIP+D2U" => Transport::Udp,
                _ => continue,
            };
            if record.flags.eq_ignore_ascii_case("s") && self.may(transport) {
                self.steps.push_back(Step::Srv { name: record.replacement, transport });
            }
        }
        if self.steps.is_empty() {
            let mut tried = Vec::new();
            for (transport, _) in self.able.clone() {
                if self.may(transport) && !tried.contains(&transport) {
                    tried.push(transport);
                    self.steps.push_back(srv(name, transport));
                }
            }
        }
    }

    fn may(&self, transport: Transport) -> bool {
        let able = self.able.iter().any(|(able, _)| *able == transport);
        able && !transport.is_websocket() && (!self.secure || transport.is_secure())
    }

    fn found(&mut self, ip: IpAddr, transport: Transport, port: u16) {
        let ip = ip.to_canonical();
        let target =
            Target { transport, peer: SocketAddr::new(ip, port), name: Arc::clone(&self.name) };
        if self.able.contains(&(transport, ip.is_ipv4()))
            && self.targets.len() < TARGETS_MAX
            && !self.targets.contains(&target)
        {
            self.targets.push(target);
        }
    }

    /// The servers, in the order in which they are to be tried.
    pub fn into_targets(self) -> Vec<Target> {
        self.targets
    }
}

/// The name under which a service is found (RFC 3263 4.2).
fn srv(name: &str, transport: Transport) -> Step {
    let service = match transport {
        Transport::Tls => "_sips._tcp",
        Transport::Udp => "_sip._udp",
        _ => "_sip._tcp",
    };
    Step::Srv { name: format!("{service}.{name}"), transport }
}

/// SRV records in the order in which they are to be tried (RFC 2782): by priority, and within one
/// by chance in proportion to the weights.
pub fn order(mut records: Vec<Srv>, mut random: impl FnMut(u32) -> u32) -> Vec<Srv> {
    // Those without weight come first, so that they have their small chance.
    records.sort_by_key(|record| (record.priority, record.weight != 0));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let rivals = || records.iter().take_while(|record| record.priority == priority);
        let sum: u32 = rivals().map(|record| u32::from(record.weight)).sum();
        let drawn = random(sum);
        let mut reached = 0;
        let chosen = rivals()
            .position(|record| {
                reached += u32::from(record.weight);
                reached >= drawn
            })
            .unwrap_or(0);
        ordered.push(records.remove(chosen));
    }
    ordered
}

#[cfg(test)]
mod tests;
