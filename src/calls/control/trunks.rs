//! Trunks that calls are placed through: whether their servers are up.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;

use super::Control;
use super::place::{find, host_text};
use super::placing::{Hop, Way};
use crate::calls::request::Request;
use crate::config::TrunkConfig;
use crate::sip::core::endpoint::ProbeId;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::locate::Target;
use crate::sip::core::targets::Health;
use crate::sip::endpoint::resolver::ResolveError;
use crate::workers::poller::now;

/// How long the answer to a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);

/// A server that is probed.
struct Probed {
    hop: Hop,
    health: Health,
    /// The probe under way, and when it counts as lost.
    probe: Option<(ProbeId, MonoTime)>,
}

struct Trunk {
    ways: Vec<Arc<Way>>,
    interval: Option<Duration>,
    /// When its servers are looked up and probed next; never while that is under way.
    due: MonoTime,
    /// Whether its names lead somewhere.
    found: Health,
    servers: Vec<Probed>,
    up: bool,
}

impl Trunk {
    fn new(config: &TrunkConfig, now: MonoTime) -> Self {
        let outbound = &config.outbound;
        let ways = outbound.targets.iter();
        let interval = outbound.options_interval.filter(|_| !outbound.targets.is_empty());
        Self {
            ways: ways
                .map(|target| Arc::new(Way::new(target.clone(), target, &outbound.route)))
                .collect(),
            interval,
            due: interval.map_or(MonoTime::MAX, |_| now),
            found: Health::default(),
            servers: Vec::new(),
            up: true,
        }
    }

    fn deadline(&self) -> MonoTime {
        let lost = self.servers.iter().filter_map(|server| Some(server.probe?.1));
        lost.fold(self.due, MonoTime::min)
    }

    /// Whether calls can be placed; a trunk that was never probed counts as up.
    fn is_up(&self) -> bool {
        let mut servers = self.servers.iter().map(|server| server.health.is_up());
        self.found.is_up() && (self.servers.is_empty() || servers.any(|up| up))
    }
}

/// All trunks, in the order of the configuration.
pub(super) struct Trunks(Vec<Trunk>);

impl Trunks {
    pub(super) fn new(trunks: &[TrunkConfig], now: MonoTime) -> Self {
        Self(trunks.iter().map(|config| Trunk::new(config, now)).collect())
    }

    /// Whether a server is known to be down.
    pub(super) fn is_down(&self, to: &Target) -> bool {
        let servers = self.0.iter().flat_map(|trunk| &trunk.servers);
        servers.into_iter().any(|server| server.hop.target() == Some(to) && !server.health.is_up())
    }

    pub(super) fn deadline(&self) -> MonoTime {
        self.0.iter().map(Trunk::deadline).min().unwrap_or(MonoTime::MAX)
    }
}

impl Control {
    /// Looks up and probes the servers of trunks whose time has come, and gives up probes.
    pub(super) fn watch_trunks(&mut self, at: MonoTime) {
        if self.trunks.deadline() > at {
            return;
        }
        for index in 0..self.trunks.0.len() {
            let Some(trunk) = self.trunks.0.get_mut(index) else { return };
            for server in &mut trunk.servers {
                if server.probe.is_some_and(|(_, until)| until <= at) {
                    server.probe = None;
                    tell(&server.hop, server.health.probed(false));
                }
            }
            let due = trunk.due <= at;
            if due {
                trunk.due = MonoTime::MAX;
                let ways = trunk.ways.clone();
                self.find_servers(index, ways);
            }
            self.report_trunk(index);
        }
    }

    fn find_servers(&mut self, trunk: usize, ways: Vec<Arc<Way>>) {
        let (able, handle, resolver) = (self.able(), self.handle.clone(), self.resolver());
        self.io.spawn(async move {
            let found = match resolver {
                Ok(resolver) => find(&resolver, &ways, &able).await,
                Err(error) => Err(error),
            };
            handle.send(Request::Watch { trunk, found }).await;
        });
    }

    /// The servers of a trunk are known: each is probed.
    pub(super) fn probe_trunk(&mut self, index: usize, found: Result<Vec<Hop>, ResolveError>) {
        let at = now();
        let Some(trunk) = self.trunks.0.get_mut(index) else { return };
        trunk.due = trunk.interval.map_or(MonoTime::MAX, |interval| at + interval);
        match found {
            Ok(hops) => {
                trunk.found.probed(true);
                let mut known: HashMap<_, _> = trunk
                    .servers
                    .drain(..)
                    .map(|server| (server.hop.target().cloned(), server))
                    .collect();
                trunk.servers = hops
                    .into_iter()
                    .map(|hop| match known.remove(&hop.target().cloned()) {
                        Some(server) => Probed { hop, ..server },
                        None => Probed { hop, health: Health::default(), probe: None },
                    })
                    .collect();
            }
            Err(error) => {
                tracing::debug!(%error, "a trunk's servers are not found");
                trunk.found.probed(false);
            }
        }
        let idle = trunk.servers.iter().filter(|server| server.probe.is_none());
        let hops: Vec<Hop> = idle.map(|server| server.hop.clone()).collect();
        for hop in hops {
            let probe = self.probe(index, &hop);
            let trunk = self.trunks.0.get_mut(index);
            let servers = trunk.into_iter().flat_map(|trunk| &mut trunk.servers);
            if let Some(server) = servers.into_iter().find(|server| server.hop == hop) {
                match probe {
                    Some(probe) => server.probe = Some((probe, at + PROBE_TIMEOUT)),
                    None => tell(&server.hop, server.health.probed(false)),
                }
            }
        }
        self.report_trunk(index);
    }

    fn probe(&mut self, index: usize, hop: &Hop) -> Option<ProbeId> {
        let config = Arc::clone(&self.config);
        let trunk = config.trunks.get(index)?;
        let tls = self.trunk_tls.get(&trunk.name).cloned();
        let flow = self.path_to(hop.target()?, tls.as_ref()).ok()?;
        let own = || host_text(flow.local.ip());
        let from = format!("<sip:{}>", trunk.outbound.from_domain.clone().unwrap_or_else(own));
        let route = HeaderName::Route.as_str();
        let headers: Vec<_> = hop.way.route.iter().map(|value| (route, value.as_str())).collect();
        self.endpoint.options(now(), &hop.way.uri, flow, &from, &headers).ok()
    }

    /// A probe was answered or not. Any answer but 503 shows that somebody is there.
    pub(super) fn probed(&mut self, probe: ProbeId, status: Option<u16>) {
        let answered = status.is_some_and(|status| status != 503);
        for index in 0..self.trunks.0.len() {
            let Some(trunk) = self.trunks.0.get_mut(index) else { return };
            let asked = |server: &&mut Probed| server.probe.is_some_and(|(id, _)| id == probe);
            let Some(server) = trunk.servers.iter_mut().find(asked) else { continue };
            server.probe = None;
            tell(&server.hop, server.health.probed(answered));
            if answered {
                server.hop.target().into_iter().for_each(|to| self.avoided.answered(to));
            }
            return self.report_trunk(index);
        }
    }

    /// Tells when a trunk goes up or down.
    fn report_trunk(&mut self, index: usize) {
        let Some(trunk) = self.trunks.0.get_mut(index) else { return };
        let up = trunk.is_up();
        let changed = std::mem::replace(&mut trunk.up, up) != up;
        let name = self.config.trunks.get(index).map_or("", |trunk| trunk.name.as_str());
        match (changed, up) {
            (true, true) => tracing::info!(trunk = name, "trunk is up"),
            (true, false) => tracing::warn!(trunk = name, "trunk is down: no server answers"),
            (false, _) => {}
        }
        self.metrics.sip.trunk_up(index, up);
    }
}

/// Tells of a server whose state has changed.
fn tell(hop: &Hop, changed: Option<bool>) {
    let Some(Target { peer, transport, .. }) = hop.target() else { return };
    let transport = transport.as_str();
    match changed {
        Some(true) => tracing::info!(%peer, transport, "SIP server is up"),
        Some(false) => tracing::warn!(%peer, transport, "SIP server is down"),
        None => {}
    }
}
