//! Proofs that names are ours, shown to certificate authorities in handshakes of TLS (RFC 8737).

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The protocol that an authority asks for, alone (RFC 8737 3). Nothing is said over it.
pub const PROTOCOL: &[u8] = b"acme-tls/1";

/// Certificates that prove names, by the name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Challenges(Arc<ArcSwap<HashMap<String, Arc<CertifiedKey>>>>);

impl Challenges {
    /// From now on these names can be proven.
    pub fn set(&self, proofs: HashMap<String, Arc<CertifiedKey>>) {
        self.0.store(Arc::new(proofs));
    }

    /// From now on none can.
    pub fn clear(&self) {
        self.set(HashMap::new());
    }
}

/// Shows authorities what they ask for, and everybody else our certificate.
#[derive(Debug)]
pub(super) struct Resolver {
    pub(super) own: Arc<dyn ResolvesServerCert>,
    pub(super) challenges: Challenges,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut protocols| {
            protocols.next() == Some(PROTOCOL) && protocols.next().is_none()
        });
        match (asks, hello.server_name()) {
            (false, _) => self.own.resolve(hello),
            (true, Some(name)) => self.challenges.0.load().get(&name.to_ascii_lowercase()).cloned(),
            (true, None) => None,
        }
    }
}
