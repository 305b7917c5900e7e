//! Who calls, and who must prove it.

use std::net::IpAddr;
use std::sync::Arc;

use uuid::Uuid;

use super::snapshot::Snapshot;
use super::trunk::Trunk;
use crate::config::{Outbound, Secret, TrunkConfig, UserConfig, specificity};
use crate::routing::Called;
use crate::sip::core::uri::Uri;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Caller<'c> {
    /// A trunk, by its address or its credentials.
    Trunk(&'c Arc<Trunk>),
    /// A user, by name and address or by its credentials.
    User(&'c UserConfig),
    /// A program on this machine, of a server without trunks and users.
    Local,
}

impl Caller<'_> {
    /// Whether credentials are needed to be taken for it.
    fn is_proven(&self) -> bool {
        match self {
            Self::Trunk(trunk) => trunk.digest,
            Self::User(user) => user.password.is_some(),
            Self::Local => false,
        }
    }
}

impl TrunkConfig {
    /// Whether calls of the trunk may come from `address`.
    pub fn takes(&self, address: IpAddr) -> bool {
        self.peers.is_empty() || specificity(&self.peers, address).is_some()
    }

    /// Whether the trunk has a server at `address`: among its peers, its targets, its route or its
    /// registrar, as far as they are addresses.
    pub fn is_at(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let Outbound { targets, route, .. } = &self.outbound;
        let registrar = self.registration.iter().map(|registration| &registration.registrar);
        let named = |uri: &String| {
            let host = Uri::parse(uri).ok().and_then(|uri| uri.host?.address());
            host.is_some_and(|host| host.to_canonical() == address)
        };
        specificity(&self.peers, address).is_some()
            || targets.iter().chain(route).chain(registrar).any(named)
    }
}

impl Snapshot {
    /// Who calls from `address` as the user `name`; `None` if nobody known, and the call is
    /// refused. `proven` is the name whose password the caller knows.
    ///
    /// Credentials decide. Without them the most specific network wins; a user wins over a trunk
    /// with the same network, and what the file names over what is stored, as nobody else's trunk
    /// may take the operator's calls. Of stored trunks the one with the number `called` is meant.
    /// A server without trunks and users takes calls from the machine it runs on.
    pub fn caller(
        &self,
        address: IpAddr,
        name: &str,
        proven: Option<&str>,
        called: &str,
    ) -> Option<Caller<'_>> {
        match proven {
            Some(proven) => self.prover(proven).filter(|caller| {
                let peers = match caller {
                    Caller::Trunk(trunk) => &trunk.peers,
                    Caller::User(user) => &user.peers,
                    Caller::Local => return false,
                };
                peers.is_empty() || specificity(peers, address).is_some()
            }),
            None => self.by_address(address, name, called).filter(|caller| !caller.is_proven()),
        }
    }

    /// The trunk that calls from `address` and has proven one of `names` by its certificate.
    pub fn trunk_by_names(&self, address: IpAddr, names: &[String]) -> Option<&Arc<Trunk>> {
        self.trunks.iter().find(|trunk| {
            trunk.tls_names.iter().any(|name| names.contains(name))
                && (trunk.peers.is_empty() || specificity(&trunk.peers, address).is_some())
        })
    }

    /// Whether a caller from `address` with the user `name` in From must prove who it is: who
    /// names a user with a password or calls from where a trunk with `auth = "digest"` does, and
    /// strangers, if there is anybody who could prove something. Strangers are not told whether
    /// a user exists.
    pub fn demands_proof(&self, address: IpAddr, name: &str, called: &str) -> bool {
        if self.users.iter().any(|user| user.name == name && user.password.is_some()) {
            return true;
        }
        match self.by_address(address, name, called) {
            Some(caller) => caller.is_proven(),
            None => {
                self.users.iter().any(|user| user.password.is_some())
                    || self.trunks.iter().any(|trunk| trunk.digest)
            }
        }
    }

    /// The password that a caller called `name` must know.
    pub fn password(&self, name: &str) -> Option<&Secret> {
        match self.prover(name)? {
            Caller::User(user) => user.password.as_ref(),
            Caller::Trunk(trunk) => trunk.password.as_ref(),
            Caller::Local => None,
        }
    }

    /// Who proves to be `name` by its password.
    fn prover(&self, name: &str) -> Option<Caller<'_>> {
        let user = self.users.iter().find(|user| user.name == name && user.password.is_some());
        let trunk = || {
            let named = |trunk: &&Arc<Trunk>| trunk.username.as_deref() == Some(name);
            self.trunks.iter().filter(|trunk| trunk.digest).find(named)
        };
        user.map(Caller::User).or_else(|| trunk().map(Caller::Trunk))
    }

    /// Who calls, as far as addresses tell.
    fn by_address(&self, address: IpAddr, name: &str, called: &str) -> Option<Caller<'_>> {
        let trunks = self
            .trunks
            .iter()
            .filter(|trunk| trunk.is_of_file)
            .filter_map(|trunk| Some((of_trunk(trunk, address)?, 0, Caller::Trunk(trunk))));
        let users =
            self.users.iter().filter(|user| user.name == name).filter_map(|user| {
                Some((specificity(&user.peers, address)?, 1, Caller::User(user)))
            });
        let known = trunks.chain(users).max_by_key(|(bits, order, _)| (*bits, *order));
        if let Some((.., caller)) = known {
            return Some(caller);
        }
        if let Some(trunk) = self.stored_by_address(address, called) {
            return Some(Caller::Trunk(trunk));
        }
        let nobody = self.users.is_empty() && !self.trunks.iter().any(|trunk| trunk.is_of_file);
        (nobody && address.to_canonical().is_loopback()).then_some(Caller::Local)
    }

    /// The stored trunk that calls from `address`. Organisations may well have the same carrier:
    /// the one that has the called number is meant, else the only one of the most specific network.
    /// Of trunks of one configuration that a call may have come by, the one that the number is
    /// pinned to, else the first.
    /// Of organisations that have the same number, the one that had it first: no other takes its
    /// calls by naming the number, or the carrier more exactly, later.
    fn stored_by_address(&self, address: IpAddr, called: &str) -> Option<&Arc<Trunk>> {
        let stored = self.trunks.iter().filter(|trunk| !trunk.is_of_file);
        let matching: Vec<_> =
            stored.filter_map(|trunk| Some((of_trunk(trunk, address)?, trunk))).collect();
        let number = |trunk: &Trunk| {
            let called = Called::new(called, None, trunk.country.as_deref());
            self.table.number(trunk.line, &called)
        };
        // Ids are made in the order of time.
        let numbers = matching.iter().filter_map(|(_, trunk)| number(trunk));
        let Some(first) = numbers.min_by_key(|number| number.id) else {
            return only(matching.into_iter());
        };
        let owner = first.organisation;
        let own = matching.into_iter().filter(|(_, trunk)| trunk.organisation == owner);
        let own: Vec<_> = own.filter(|(_, trunk)| number(trunk).is_some()).collect();
        let pinned = own
            .iter()
            .find(|(_, trunk)| number(trunk).is_some_and(|number| number.trunk == Some(trunk.id)));
        pinned.map(|(_, trunk)| *trunk).or_else(|| only(own.into_iter()))
    }
}

/// Bits of the network of a trunk that holds `address`. One that proves who it is by its
/// certificate is not known by its address alone.
fn of_trunk(trunk: &Trunk, address: IpAddr) -> Option<u8> {
    specificity(&trunk.peers, address).filter(|_| trunk.tls_names.is_empty())
}

/// What tells which of the trunks of a configuration is the first.
fn order(trunk: &Trunk) -> (bool, Uuid) {
    (trunk.is_within(), trunk.id)
}

/// The one with the most bits, if its configuration is alone with so many; of its trunks the first.
fn only<'t>(trunks: impl Iterator<Item = (u8, &'t Arc<Trunk>)>) -> Option<&'t Arc<Trunk>> {
    let mut best: Option<(u8, &Arc<Trunk>)> = None;
    let mut alone = false;
    for (bits, trunk) in trunks {
        match &mut best {
            Some((most, _)) if *most > bits => {}
            Some((most, first)) if *most == bits => {
                alone &= first.line == trunk.line;
                if first.line == trunk.line && order(trunk) < order(first) {
                    *first = trunk;
                }
            }
            _ => {
                best = Some((bits, trunk));
                alone = true;
            }
        }
    }
    best.filter(|_| alone).map(|(_, trunk)| trunk)
}
