//! Our registrations with providers.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use crate::config::TrunkConfig;
use crate::directory::Trunk;
use crate::outward::{Outward, OutwardError};
use crate::sip::core::auth::{Account, DigestClient};
use crate::sip::core::endpoint::{DialogId, Flow, RequestId, Transport};
use crate::sip::core::message::Message;
use crate::sip::core::registration::{Outcome, Registration, Settings, State};
use crate::sip::core::uri::Uri;
use crate::sip::endpoint::sockets::Sockets;
use crate::workers::poller::now;

/// How long the server waits for its last registration to be taken back before it ends.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// The registration of one trunk.
pub(super) struct TrunkRegistration {
    /// Its trunk, as it was when this began.
    trunk: Arc<Trunk>,
    registration: Registration,
    /// The trunk is gone or registers otherwise: this one is taken back.
    gone: bool,
    flow: Flow,
    pending: Option<RequestId>,
}

/// A number that nobody can guess, as text.
fn token() -> io::Result<String> {
    let mut bytes = [0; 12];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The account of a trunk that has one.
pub(super) fn account(trunk: &TrunkConfig) -> Option<Arc<Account>> {
    let (username, password) = (trunk.username.as_ref()?, trunk.password.as_ref()?);
    Some(Arc::new(Account::new(username, password.expose(), trunk.realm.as_deref())))
}

/// The registration that a trunk asks for.
///
/// # Errors
///
/// When the system has no random numbers: our contact could be guessed.
fn registration(
    trunk: &Arc<Trunk>,
    sockets: &Sockets,
    outward: &Outward,
) -> io::Result<Option<TrunkRegistration>> {
    let (Some(wanted), Some(account)) = (&trunk.registration, account(trunk)) else {
        return Ok(None);
    };
    let Ok(uri) = Uri::parse(&wanted.registrar) else { return Ok(None) };
    let (Some(host), Some(flow)) = (uri.host, flow(&uri, sockets)) else {
        tracing::warn!(trunk = trunk.label, "no way to the registrar");
        return Ok(None);
    };
    if !outward.admits("", flow.peer.ip()) {
        let error = OutwardError::Private;
        tracing::warn!(trunk = trunk.label, %error, "no way to the registrar");
        return Ok(None);
    }
    let user = wanted.user.as_deref().unwrap_or(account.username());
    let settings = Settings {
        registrar: wanted.registrar.clone(),
        aor: format!("sip:{user}@{host}"),
        contact_user: token()?,
        expires_s: u32::try_from(wanted.expires.as_secs()).unwrap_or(u32::MAX),
        account,
    };
    let registration = Registration::new(settings, token()?, fastrand::u64(..));
    let trunk = Arc::clone(trunk);
    Ok(Some(TrunkRegistration { trunk, registration, gone: false, flow, pending: None }))
}

/// Whether two states of a trunk register in the same way.
fn registers_alike(one: &Trunk, other: &Trunk) -> bool {
    let of = |trunk: &Trunk| {
        let TrunkConfig { registration, username, password, realm, .. } = &trunk.config;
        (registration.clone(), username.clone(), password.clone(), realm.clone())
    };
    one.id == other.id && of(one) == of(other)
}

/// The way to a registrar.
fn flow(uri: &Uri<'_>, sockets: &Sockets) -> Option<Flow> {
    let address = uri.host?.address()?;
    let tcp = uri.params.get("transport").is_some_and(|name| name.eq_ignore_ascii_case("tcp"));
    let transport = if tcp { Transport::Tcp } else { Transport::Udp };
    let peer = SocketAddr::new(address, uri.port.unwrap_or(5060));
    let local = sockets.local(transport, peer)?;
    Some(Flow { transport, local, peer, connection: 0 })
}

impl Control {
    /// From now on these are the trunks: those that are new register, those that are gone or
    /// register otherwise take back what they had.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers: our contacts could be guessed.
    pub(super) fn update_registrations(&mut self, trunks: &[Arc<Trunk>]) -> io::Result<()> {
        let at = now();
        for entry in self.registrations.iter_mut().filter(|entry| !entry.gone) {
            match trunks.iter().find(|trunk| registers_alike(trunk, &entry.trunk)) {
                Some(trunk) => entry.trunk = Arc::clone(trunk),
                None => {
                    entry.gone = true;
                    entry.registration.leave(at);
                }
            }
        }
        for trunk in trunks.iter().filter(|trunk| trunk.registration.is_some()) {
            let mut living = self.registrations.iter().filter(|entry| !entry.gone);
            if living.all(|entry| entry.trunk.id != trunk.id) {
                let outward = self.outward_of_leg(trunk.organisation, Some(trunk));
                self.registrations.extend(registration(trunk, &self.sockets, &outward)?);
            }
        }
        self.forget_left(at);
        Ok(())
    }

    /// Forgets the registrations that were taken back because their trunks are gone; tells the gate
    /// whose contacts there are.
    fn forget_left(&mut self, at: MonoTime) {
        self.registrations.retain(|entry| {
            let over = matches!(entry.registration.state(at), State::Left | State::Refused);
            !(entry.gone && over)
        });
        let contact = |entry: &TrunkRegistration| {
            (entry.registration.settings().contact_user.clone(), entry.trunk.id)
        };
        self.contacts.store(Arc::new(self.registrations.iter().map(contact).collect()));
    }

    /// When a registration wants something next.
    pub(super) fn registrations_due(&self) -> MonoTime {
        let due = self.registrations.iter().map(|entry| entry.registration.deadline());
        due.min().unwrap_or(MonoTime::MAX)
    }

    /// Sends the REGISTERs that are due.
    pub(super) fn register(&mut self, at: MonoTime) {
        for entry in &mut self.registrations {
            let Some(request) = entry.registration.handle_timeout(at, entry.flow) else { continue };
            match self.endpoint.request(at, request) {
                Ok(id) => entry.pending = Some(id),
                Err(error) => {
                    tracing::warn!(%error, "REGISTER not sent");
                    entry.registration.handle_unsent(at);
                }
            }
        }
    }

    /// A request of ours was answered or not.
    pub(super) fn responded(
        &mut self,
        request: RequestId,
        response: Option<&Message>,
        cseq: u32,
        auth: Option<Box<DigestClient>>,
    ) {
        let at = now();
        let found = self.registrations.iter_mut().position(|entry| entry.pending == Some(request));
        let Some(entry) = found.and_then(|index| self.registrations.get_mut(index)) else { return };
        entry.pending = None;
        let before = entry.registration.state(at);
        let outcome = entry.registration.handle_response(at, response, cseq, auth);
        let trunk = entry.trunk.label.clone();
        let gone = entry.gone;
        let span = tracing::info_span!("registration", trunk = %trunk);
        let _entered = span.enter();
        match outcome {
            Outcome::Registered(granted) if before == State::Registered => {
                tracing::debug!(granted_s = granted.as_secs(), "registration refreshed");
            }
            Outcome::Registered(granted) => {
                tracing::info!(granted_s = granted.as_secs(), "registered");
            }
            Outcome::Failed(status, wait) => {
                let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(status, retry_ms, "registration failed");
                self.metrics.sip.registration_failed(&trunk);
            }
            Outcome::Refused(status) => {
                tracing::error!(
                    status,
                    "registration refused for good; correct username, password or registrar and \
                     start the server again"
                );
                self.metrics.sip.registration_failed(&trunk);
            }
            Outcome::Left => tracing::info!("registration taken back"),
        }
        if gone {
            self.forget_left(at);
        }
        self.count_registrations(at);
    }

    /// Shows in the metrics which trunks are registered.
    pub(super) fn count_registrations(&self, at: MonoTime) {
        for entry in self.registrations.iter().filter(|entry| !entry.gone) {
            let registered = entry.registration.state(at) == State::Registered;
            self.metrics.sip.registered(&entry.trunk.label, registered);
        }
    }

    /// A connection is gone: registrars that reached us over it are told of a new one at once.
    pub(super) fn registrar_lost(&mut self, at: MonoTime, peer: SocketAddr) {
        for entry in &mut self.registrations {
            if entry.flow.transport.is_reliable() && entry.flow.peer == peer {
                entry.registration.handle_flow_broken(at);
            }
        }
        self.count_registrations(at);
    }

    /// Takes all registrations back: calls are not to come here any more.
    pub(super) fn leave_registrars(&mut self) {
        let at = now();
        for entry in &mut self.registrations {
            entry.registration.leave(at);
        }
    }

    /// Until when the end waits for registrations to be taken back; now if there is none.
    pub(super) fn leaving_until(&self, at: MonoTime) -> MonoTime {
        let leaving = |entry: &TrunkRegistration| {
            !matches!(entry.registration.state(at), State::Left | State::Refused)
        };
        if self.registrations.iter().any(leaving) { at + LEAVE_WAIT } else { at }
    }

    /// The trunk of an organisation that has the server at `address`: one that is registered there,
    /// or one whose peers it is among. Nobody calls with the password of another.
    fn trunk_at(&self, organisation: Uuid, address: IpAddr) -> Option<Arc<Trunk>> {
        let mut living = self
            .registrations
            .iter()
            .filter(|entry| !entry.gone && entry.trunk.organisation == organisation);
        let registered = living.find(|entry| entry.flow.peer.ip() == address);
        registered.map(|entry| Arc::clone(&entry.trunk)).or_else(|| {
            let takes = |trunk: &&Arc<Trunk>| {
                let own = trunk.organisation == organisation;
                own && !trunk.peers.is_empty() && trunk.takes(address)
            };
            self.directory.load().trunks.iter().find(takes).cloned()
        })
    }

    /// Who we are to the server at `address`, if it asks, on a call of this organisation.
    pub(super) fn account_at(&self, organisation: Uuid, address: IpAddr) -> Option<Arc<Account>> {
        account(&*self.trunk_at(organisation, address)?)
    }

    /// Answers challenges within a call that a trunk brought.
    pub(super) fn use_trunk_account(&mut self, dialog: DialogId, trunk: Option<&Trunk>) {
        if let Some(account) = trunk.and_then(|trunk| account(trunk)) {
            super::sip::log_refused(self.endpoint.use_account(dialog, account).err());
        }
    }

    /// Says why a call of ours failed, if it is for want of credentials or for wrong ones.
    pub(super) fn log_refused_credentials(&self, dialog: DialogId, status: u16) {
        let call = self.by_dialog.get(&dialog).and_then(|key| self.calls.get(key));
        if let Some(call) = call.filter(|_| matches!(status, 401 | 407)) {
            tracing::warn!(
                parent: &call.span,
                status,
                "credentials were wanted: username and password of the trunk are missing or wrong"
            );
        }
    }

    /// The route that the provider at `address` wants an organisation's calls to take (RFC 3608).
    pub(super) fn service_route_at(&self, organisation: Uuid, address: IpAddr) -> &[String] {
        let mut own =
            self.registrations.iter().filter(|entry| entry.trunk.organisation == organisation);
        let entry = own.find(|entry| entry.flow.peer.ip() == address);
        entry.map_or(&[], |entry| entry.registration.service_routes())
    }

    /// The trunk whose registration a request came for: its Request-URI is our contact. None if the
    /// trunk is gone since.
    pub(super) fn registered_trunk(&self, request: &Message) -> Option<Arc<Trunk>> {
        let uri = Uri::parse(request.uri()?).ok()?;
        let found = self
            .registrations
            .iter()
            .find(|entry| uri.user == Some(&entry.registration.settings().contact_user))?;
        self.directory.load().trunk_by_id(found.trunk.id).cloned()
    }
}
