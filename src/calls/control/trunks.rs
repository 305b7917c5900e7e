//! Trunks that calls are placed through: whether their servers are up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::place::{find, host_text};
use super::placing::{Hop, Way};
use crate::calls::request::Request;
use crate::calls::standing::{ServerStanding, TrunkStanding};
use crate::directory::Trunk;
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

impl Probed {
    fn standing(&self) -> Option<ServerStanding> {
        let Target { transport, peer, .. } = self.hop.target()?;
        Some(ServerStanding { transport: *transport, address: *peer, up: self.health.is_up() })
    }
}

/// A trunk and its servers.
struct Watch {
    trunk: Arc<Trunk>,
    ways: Vec<Arc<Way>>,
    interval: Option<Duration>,
    /// When its servers are looked up and probed next; never while that is under way.
    due: MonoTime,
    /// Whether its names lead somewhere.
    found: Health,
    servers: Vec<Probed>,
    up: bool,
}

impl Watch {
    fn new(trunk: &Arc<Trunk>, now: MonoTime) -> Self {
        let outbound = &trunk.outbound;
        let ways = outbound.targets.iter();
        let interval = outbound.options_interval.filter(|_| !outbound.targets.is_empty());
        Self {
            trunk: Arc::clone(trunk),
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

/// All trunks.
#[derive(Default)]
pub(super) struct Trunks(Vec<Watch>);

impl Trunks {
    /// From now on these are the trunks. What is known of the servers of those that stay is kept;
    /// the labels of those that are gone come back.
    pub(super) fn update(&mut self, trunks: &[Arc<Trunk>], now: MonoTime) -> Vec<String> {
        let mut before = std::mem::take(&mut self.0);
        for trunk in trunks {
            let same = |watch: &Watch| {
                watch.trunk.id == trunk.id && watch.trunk.outbound == trunk.outbound
            };
            let mut watch = match before.iter().position(same) {
                Some(at) => before.swap_remove(at),
                None => Watch::new(trunk, now),
            };
            watch.trunk = Arc::clone(trunk);
            self.0.push(watch);
        }
        let gone = |watch: &Watch| trunks.iter().all(|trunk| trunk.id != watch.trunk.id);
        before.into_iter().filter(gone).map(|watch| watch.trunk.label.clone()).collect()
    }

    /// Whether calls can be placed through a trunk.
    pub(super) fn is_up(&self, id: Uuid) -> bool {
        self.0.iter().any(|watch| watch.trunk.id == id && watch.is_up())
    }

    fn find(&mut self, id: Uuid) -> Option<&mut Watch> {
        self.0.iter_mut().find(|watch| watch.trunk.id == id)
    }

    /// Whether a server is known to be down.
    pub(super) fn is_down(&self, to: &Target) -> bool {
        let servers = self.0.iter().flat_map(|trunk| &trunk.servers);
        servers.into_iter().any(|server| server.hop.target() == Some(to) && !server.health.is_up())
    }

    /// Whether a server that is probed is at this address.
    pub(super) fn are_at(&self, address: IpAddr) -> bool {
        let mut servers = self.0.iter().flat_map(|trunk| &trunk.servers);
        servers.any(|server| server.hop.peer().ip().to_canonical() == address)
    }

    pub(super) fn deadline(&self) -> MonoTime {
        self.0.iter().map(Watch::deadline).min().unwrap_or(MonoTime::MAX)
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
                let (id, ways) = (trunk.trunk.id, trunk.ways.clone());
                self.find_servers(id, ways);
            }
            self.report_trunk(index);
        }
    }

    fn find_servers(&mut self, trunk: Uuid, ways: Vec<Arc<Way>>) {
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
    pub(super) fn probe_trunk(&mut self, id: Uuid, found: Result<Vec<Hop>, ResolveError>) {
        let at = now();
        // It may be gone since, or have other servers.
        let Some(trunk) = self.trunks.find(id) else { return };
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
        let through = Arc::clone(&trunk.trunk);
        for hop in hops {
            let probe = self.probe(&through, &hop);
            let trunk = self.trunks.find(id);
            let servers = trunk.into_iter().flat_map(|trunk| &mut trunk.servers);
            if let Some(server) = servers.into_iter().find(|server| server.hop == hop) {
                match probe {
                    Some(probe) => server.probe = Some((probe, at + PROBE_TIMEOUT)),
                    None => tell(&server.hop, server.health.probed(false)),
                }
            }
        }
        let index = self.trunks.0.iter().position(|watch| watch.trunk.id == id);
        index.into_iter().for_each(|index| self.report_trunk(index));
    }

    fn probe(&mut self, trunk: &Trunk, hop: &Hop) -> Option<ProbeId> {
        let reach = self.reach(trunk);
        let outward = self.outward_of_leg(trunk.organisation, Some(trunk));
        let to = hop.target().filter(|to| self.reaches(&outward, trunk.organisation, to))?;
        let flow = self.path_to(to, &reach).ok()?;
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

    /// How those of these trunks stand that are in service.
    pub(super) fn trunks_standing(&self, ids: &[Uuid]) -> Vec<TrunkStanding> {
        let wanted = self.trunks.0.iter().filter(|watch| ids.contains(&watch.trunk.id));
        let standing = |watch: &Watch| TrunkStanding {
            id: watch.trunk.id,
            registration: self.registration_standing(&watch.trunk),
            up: watch.interval.map(|_| watch.is_up()),
            servers: watch.servers.iter().filter_map(Probed::standing).collect(),
        };
        wanted.map(standing).collect()
    }

    /// Tells when a trunk goes up or down.
    fn report_trunk(&mut self, index: usize) {
        let Some(trunk) = self.trunks.0.get_mut(index) else { return };
        let up = trunk.is_up();
        let changed = std::mem::replace(&mut trunk.up, up) != up;
        let label = trunk.trunk.label.as_str();
        match (changed, up) {
            (true, true) => tracing::info!(trunk = label, "trunk is up"),
            (true, false) => tracing::warn!(trunk = label, "trunk is down: no server answers"),
            (false, _) => {}
        }
        self.metrics.sip.trunk_up(label, up);
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
