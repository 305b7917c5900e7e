//! Our registrations with providers.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::placing::Way;
use crate::calls::standing::{Registered, RegistrationStanding};
use crate::config::TrunkConfig;
use crate::directory::Trunk;
use crate::sip::core::auth::{Account, DigestClient};
use crate::sip::core::endpoint::{DialogId, Flow, RequestId};
use crate::sip::core::locate::Target;
use crate::sip::core::message::Message;
use crate::sip::core::registration::{Outcome, Registration, Settings, State};
use crate::sip::core::uri::Uri;
use crate::workers::poller::now;

/// How long the server waits for its last registration to be taken back before it ends.
const LEAVE_WAIT: Duration = Duration::from_secs(2);

/// The registration of one trunk.
pub(super) struct TrunkRegistration {
    /// Its trunk, as it was when this began.
    pub(super) trunk: Arc<Trunk>,
    pub(super) registration: Registration,
    /// The trunk is gone or registers otherwise: this one is taken back.
    pub(super) gone: bool,
    /// What leads to the registrar.
    pub(super) way: Arc<Way>,
    /// Its name is being looked up.
    pub(super) finding: bool,
    /// The server that is asked; none until one is found.
    pub(super) server: Option<Target>,
    /// Those that are asked if it fails.
    pub(super) others: VecDeque<Target>,
    /// The way that the last REGISTER went.
    pub(super) flow: Option<Flow>,
    pending: Option<RequestId>,
    /// What the last failure was answered with, if it was.
    failed: Option<u16>,
}

impl TrunkRegistration {
    fn deadline(&self) -> MonoTime {
        if self.finding { MonoTime::MAX } else { self.registration.deadline() }
    }

    fn is_at(&self, address: IpAddr) -> bool {
        self.flow.is_some_and(|flow| flow.peer.ip().to_canonical() == address.to_canonical())
    }

    /// A server failed: the next one is asked at once; after the last the name is looked up again
    /// when it is time.
    fn leave_server(&mut self, at: MonoTime) {
        self.server = self.others.pop_front();
        if self.server.is_some() {
            self.registration.handle_other_server(at);
        }
    }
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
fn registration(trunk: &Arc<Trunk>) -> io::Result<Option<TrunkRegistration>> {
    let (Some(wanted), Some(account)) = (&trunk.registration, account(trunk)) else {
        return Ok(None);
    };
    let host = Uri::parse(&wanted.registrar).ok().and_then(|uri| uri.host);
    let Some(host) = host else { return Ok(None) };
    let user = wanted.user.as_deref().unwrap_or(account.username());
    let settings = Settings {
        registrar: wanted.registrar.clone(),
        aor: format!("sip:{user}@{host}"),
        contact_user: token()?,
        expires_s: u32::try_from(wanted.expires.as_secs()).unwrap_or(u32::MAX),
        account,
    };
    Ok(Some(TrunkRegistration {
        trunk: Arc::clone(trunk),
        registration: Registration::new(settings, token()?, fastrand::u64(..)),
        gone: false,
        way: Arc::new(Way::direct(&wanted.registrar)),
        finding: false,
        server: None,
        others: VecDeque::new(),
        flow: None,
        pending: None,
        failed: None,
    }))
}

/// Whether two states of a trunk register in the same way.
fn registers_alike(one: &Trunk, other: &Trunk) -> bool {
    let of = |trunk: &Trunk| {
        let TrunkConfig { registration, username, password, realm, tls, outbound, .. } =
            &trunk.config;
        let reach = (tls.clone(), outbound.tls_name.clone());
        (registration.clone(), username.clone(), password.clone(), realm.clone(), reach)
    };
    one.id == other.id && of(one) == of(other)
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
                self.registrations.extend(registration(trunk)?);
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
        let due = self.registrations.iter().map(TrunkRegistration::deadline);
        due.min().unwrap_or(MonoTime::MAX)
    }

    /// Sends the REGISTERs that are due, once it is known where to.
    pub(super) fn register(&mut self, at: MonoTime) {
        for index in 0..self.registrations.len() {
            let Some(entry) = self.registrations.get(index) else { return };
            if entry.deadline() > at {
                continue;
            }
            match entry.server {
                Some(_) => self.send_register(at, index),
                None => self.find_registrar(at, index),
            }
        }
    }

    /// Asks the server of a registration.
    pub(super) fn send_register(&mut self, at: MonoTime, index: usize) {
        let Some(entry) = self.registrations.get(index) else { return };
        let Some(server) = entry.server.clone() else { return };
        let reach = self.reach(&Arc::clone(&entry.trunk));
        let flow = self.path_to(&server, &reach);
        let Some(entry) = self.registrations.get_mut(index) else { return };
        let sent = flow.and_then(|flow| {
            entry.flow = Some(flow);
            let Some(request) = entry.registration.handle_timeout(at, flow) else { return Ok(()) };
            let sent = self.endpoint.request(at, request).map_err(|error| error.to_string());
            entry.pending = Some(sent?);
            Ok(())
        });
        if let Err(error) = sent {
            tracing::warn!(trunk = entry.trunk.label, error, "REGISTER not sent");
            entry.registration.handle_unsent(at);
            entry.leave_server(at);
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
        entry.failed = match outcome {
            Outcome::Failed(status, _) => status,
            Outcome::Refused(status) => Some(status),
            Outcome::Registered(_) | Outcome::Left => None,
        };
        // RFC 3263 4.3: the next server is asked if this one fails or does not answer.
        if matches!(outcome, Outcome::Failed(None | Some(408 | 500..=599), _)) {
            entry.leave_server(at);
        }
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
            if entry.flow.is_some_and(|it| it.transport.is_reliable() && it.peer == peer) {
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
        let registered = living.find(|entry| entry.is_at(address));
        registered.map(|entry| Arc::clone(&entry.trunk)).or_else(|| {
            let takes = |trunk: &&Arc<Trunk>| {
                let own = trunk.organisation == organisation;
                own && !trunk.peers.is_empty() && trunk.takes(address)
            };
            self.directory.load().trunks.iter().find(takes).cloned()
        })
    }

    /// Whether a trunk is known to have a server at `address`: a registrar, or one that is probed.
    pub(super) fn is_at_trunk(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.registrations.iter().any(|entry| entry.is_at(address)) || self.trunks.are_at(address)
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
        let entry = own.find(|entry| entry.is_at(address));
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

    /// How the registration of a trunk stands; none if it asks for none.
    pub(super) fn registration_standing(&self, trunk: &Trunk) -> Option<RegistrationStanding> {
        let at = now();
        trunk.registration.as_ref()?;
        let mut living = self.registrations.iter().filter(|entry| !entry.gone);
        let entry = living.find(|entry| entry.trunk.id == trunk.id);
        let state = entry.map(|entry| entry.registration.state(at));
        Some(RegistrationStanding {
            state: match state {
                Some(State::Registered) => Registered::Yes,
                Some(State::Refused) => Registered::Refused,
                Some(State::Waiting | State::Left) | None => Registered::No,
            },
            failed_with: entry.and_then(|entry| entry.failed),
        })
    }
}
