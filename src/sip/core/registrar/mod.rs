//! The registrar for telephones (RFC 3261 10.3), without I/O: who can be reached where.
//!
//! Who registers has been proven before ([`Endpoint::guard`](super::endpoint::Endpoint::guard)). A
//! binding remembers the connection it was made over, so that telephones behind address
//! translators and on streams are reached by it, and the Path that its proxies asked for
//! (RFC 3327). Bindings of a [`Registrar`] live as long as it does.

mod binding;
#[doc(hidden)]
pub mod fuzz;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use media::time::MonoTime;

pub use binding::{Binding, Target};

use super::endpoint::{Flow, Transport};
use super::headers::HeaderName;
use super::message::Message;
use super::uri::Uri;
use super::validate::Refusal;
use request::{Change, read};

/// Contacts of a user; beyond it, the one that was refreshed longest ago is forgotten.
pub const CONTACTS_MAX: usize = 8;
/// The shortest time that a contact is kept, in seconds.
pub const EXPIRES_MIN_S: u32 = 60;
/// How long a contact is kept that does not say.
pub const EXPIRES_DEFAULT_S: u32 = 3_600;
/// The longest time that a contact is kept; who asks for more is told.
pub const EXPIRES_MAX_S: u32 = 7_200;

/// How long contacts are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// The shortest time, in seconds: less is refused with 423.
    pub min_s: u32,
    /// The time of those that do not say, in seconds.
    pub default_s: u32,
    /// The longest time, in seconds.
    pub max_s: u32,
}

impl Default for Expiry {
    fn default() -> Self {
        Self { min_s: EXPIRES_MIN_S, default_s: EXPIRES_DEFAULT_S, max_s: EXPIRES_MAX_S }
    }
}

/// Where registered users are.
#[derive(Default)]
pub struct Registrar {
    expiry: Expiry,
    users: HashMap<Arc<str>, Vec<Binding>>,
    deadlines: BTreeSet<(MonoTime, u64, Arc<str>)>,
    next: u64,
}

impl Registrar {
    /// An empty registrar.
    pub fn new(expiry: Expiry) -> Self {
        Self { expiry, ..Self::default() }
    }

    /// What the answer to a REGISTER of `user` is, after its contacts have been taken, refreshed
    /// or removed: all of them or, if one cannot be, none (RFC 3261 10.3).
    pub fn register(
        &mut self,
        now: MonoTime,
        user: &str,
        flow: Flow,
        request: &Message,
    ) -> Refusal {
        self.expire(now);
        let change = match read(request, user, &self.expiry) {
            Ok(change) => change,
            Err(refusal) => return refusal,
        };
        let kept = self.users.get(user).map(Vec::as_slice).unwrap_or_default();
        let changed = match self.changed(now, kept, flow, &change) {
            Ok(changed) => changed,
            Err(refusal) => return refusal,
        };
        if let Some(changed) = changed {
            self.commit(user, changed);
        }
        self.listed(now, user, &change)
    }

    /// The user's contacts as the request wants them; `None` if it only asks.
    fn changed(
        &self,
        now: MonoTime,
        kept: &[Binding],
        flow: Flow,
        change: &Change<'_>,
    ) -> Result<Option<Vec<Binding>>, Refusal> {
        // RFC 3261 10.3 6 and 7: a request that was overtaken changes nothing.
        let overtaken =
            |binding: &Binding| *binding.call_id == *change.call_id && binding.cseq >= change.cseq;
        let late = || Err(Refusal::new(500, "CSeq Out of Order"));
        if change.all {
            return if kept.iter().any(overtaken) { late() } else { Ok(Some(Vec::new())) };
        }
        if change.contacts.is_empty() {
            return Ok(None);
        }
        let mut bindings = kept.to_vec();
        let mut next = self.next;
        for contact in &change.contacts {
            let place = bindings.iter().position(|binding| contact.is(binding));
            if let Some(old) = place.and_then(|place| bindings.get(place)) {
                // The same contact twice in one request: the second is what counts.
                let same = old.cseq == change.cseq && old.id >= self.next;
                if overtaken(old) && !same {
                    return late();
                }
            }
            if let Some(place) = place {
                bindings.remove(place);
            }
            if contact.expires_s > 0 {
                bindings.push(Binding {
                    id: next,
                    uri: contact.uri.into(),
                    instance: contact.instance.map(Into::into),
                    reg_id: contact.reg_id.map(Into::into),
                    q_milli: contact.q_milli,
                    expires_at: now + Duration::from_secs(contact.expires_s.into()),
                    call_id: change.call_id.into(),
                    cseq: change.cseq,
                    path: change.path.iter().map(|hop| (*hop).into()).collect(),
                    flow,
                });
                next += 1;
            }
        }
        let over = bindings.len().saturating_sub(CONTACTS_MAX);
        bindings.drain(..over);
        Ok(Some(bindings))
    }

    /// Puts these in the place of the user's contacts.
    fn commit(&mut self, user: &str, bindings: Vec<Binding>) {
        let name: Arc<str> = match self.users.remove_entry(user) {
            Some((name, old)) => {
                for binding in old {
                    self.deadlines.remove(&(binding.expires_at, binding.id, Arc::clone(&name)));
                }
                name
            }
            None => user.into(),
        };
        for binding in &bindings {
            self.next = self.next.max(binding.id + 1);
            self.deadlines.insert((binding.expires_at, binding.id, Arc::clone(&name)));
        }
        if !bindings.is_empty() {
            self.users.insert(name, bindings);
        }
    }

    /// 200 with every contact and how long it is kept (RFC 3261 10.3 8), and the Path that is
    /// used, for who knows of it (RFC 3327 5.3).
    fn listed(&self, now: MonoTime, user: &str, change: &Change<'_>) -> Refusal {
        let bindings = self.users.get(user).map(Vec::as_slice).unwrap_or_default();
        let mut headers: Vec<(HeaderName, String)> =
            bindings.iter().map(|b| (HeaderName::Contact, b.listed(now))).collect();
        let told = change.path.iter().filter(|_| change.knows_path);
        headers.extend(told.map(|hop| (HeaderName::Path, (*hop).to_owned())));
        headers.push((HeaderName::Supported, "path, outbound".to_owned()));
        if change.outbound {
            headers.push((HeaderName::Require, "outbound".to_owned()));
        }
        Refusal { headers, ..Refusal::new(200, "OK") }
    }

    /// Where a user is to be called: the preferred contact first, of equals the one that was
    /// refreshed last.
    pub fn targets(&self, now: MonoTime, user: &str) -> Vec<Target> {
        let bindings = self.users.get(user).map(Vec::as_slice).unwrap_or_default();
        let mut alive: Vec<&Binding> = bindings.iter().filter(|b| b.expires_at > now).collect();
        alive.sort_by_key(|b| std::cmp::Reverse((b.q_milli, b.id)));
        alive.into_iter().map(Binding::target).collect()
    }

    /// When [`Registrar::expire`] is due.
    pub fn deadline(&self) -> Option<MonoTime> {
        self.deadlines.first().map(|(at, ..)| *at)
    }

    /// Forgets contacts whose time is over.
    pub fn expire(&mut self, now: MonoTime) {
        while self.deadline().is_some_and(|due| due <= now) {
            let Some((_, id, user)) = self.deadlines.pop_first() else { return };
            self.retain(&user, |binding| binding.id != id);
        }
    }

    /// A connection is gone. Contacts that were reached over it stay only if they name an address
    /// that can be connected to: that of the telephone itself, over TCP.
    pub fn handle_closed(&mut self, connection: u64) {
        let over = |binding: &Binding| binding.flow.connection == connection;
        let affected: Vec<Arc<str>> = self
            .users
            .iter()
            .filter(|(_, bindings)| bindings.iter().any(over))
            .map(|(user, _)| Arc::clone(user))
            .collect();
        for user in affected {
            let Some(bindings) = self.users.get(&user) else { continue };
            let rest = bindings.iter().filter_map(|binding| {
                if over(binding) { binding.clone().reconnectable() } else { Some(binding.clone()) }
            });
            let rest = rest.collect();
            self.commit(&user, rest);
        }
    }

    fn retain(&mut self, user: &Arc<str>, keep: impl Fn(&Binding) -> bool) {
        let Some(bindings) = self.users.get_mut(user) else { return };
        bindings.retain(|binding| keep(binding));
        if bindings.is_empty() {
            self.users.remove(user);
        }
    }

    /// Contacts of all users.
    pub fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// Whether nobody is registered.
    pub fn is_empty(&self) -> bool {
        self.deadlines.is_empty()
    }
}

/// The port and transport that a contact can be connected to.
fn connectable(uri: &Uri<'_>, flow: Flow) -> Option<Flow> {
    let address = uri.host.as_ref()?.address()?;
    let port = uri.port.filter(|port| *port != 0).unwrap_or(5060);
    let reaches = flow.transport == Transport::Tcp && address == flow.peer.ip().to_canonical();
    let peer = std::net::SocketAddr::new(flow.peer.ip(), port);
    reaches.then_some(Flow { peer, connection: 0, ..flow })
}
