//! A stored configuration of a carrier, as calls use it.

use adapters::config::RawConfig;
use adapters::hook::HookUrls;
use adapters::spec::ProviderSpec;
use adapters::table;
use uuid::Uuid;

use crate::capture::Secrets;
use crate::config::Secret;
use crate::quota::Limits;
use crate::store::configurations::Configuration;

/// A configuration of a carrier whose calls are controlled over HTTP.
#[derive(Clone)]
pub struct Account {
    /// The configuration.
    pub id: Uuid,
    /// Whose it is.
    pub organisation: Uuid,
    /// What people call it.
    pub name: String,
    /// The carrier.
    pub spec: &'static ProviderSpec,
    /// What the fields hold.
    pub config: RawConfig,
    /// The unguessable part of its hooks' addresses.
    pub token: Secret,
    /// How many calls it has.
    pub limits: Limits,
    /// Calls of its organisation that name no way are placed by it before others.
    pub is_default: bool,
}

impl Account {
    /// True if its calls are offered by their media sockets, of which nothing tells before.
    pub fn offers_by_socket(&self) -> bool {
        self.spec.offers_by_socket(&self.config)
    }

    /// Where calls are offered, below our public address `base`.
    pub fn inbound_url(&self, base: &str) -> Option<String> {
        let url = self.hooks(base).url(self.spec.inbound?.hook);
        // `ws` for `http`, and so `wss` for `https`.
        Some(if self.offers_by_socket() { url.replacen("http", "ws", 1) } else { url })
    }

    /// That of a stored configuration; none if its carrier's calls are not controlled over HTTP.
    pub fn of(stored: &Configuration, limits: Limits) -> Option<Self> {
        let fields = &stored.fields;
        let spec = table::find(&fields.provider)?;
        let over_http = !spec.hooks.is_empty() || spec.calls.originate.is_some();
        over_http.then(|| Self {
            id: stored.id.0,
            organisation: stored.stamp.organisation.0,
            name: fields.name.clone(),
            spec,
            config: fields.config.clone(),
            token: stored.token.clone(),
            limits,
            is_default: fields.is_default_outbound,
        })
    }

    /// What of it must not be shown.
    pub fn secrets(&self) -> Secrets {
        let fields = self.spec.secrets(&self.config);
        Secrets::new(fields.into_iter().chain([self.token.expose()]))
    }

    /// The addresses of its hooks below our public address `base`.
    pub fn hooks(&self, base: &str) -> HookUrls {
        HookUrls::new(base, self.spec.name, self.token.expose())
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .field("provider", &self.spec.name)
            .finish_non_exhaustive()
    }
}
