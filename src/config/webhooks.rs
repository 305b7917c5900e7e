//! `[webhooks]`: what organisations are told of events.

use super::section::Section;
use super::values::Cidr;

/// `[webhooks]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhooksConfig {
    /// Networks that webhooks may go to besides the public one, over plain HTTP too.
    pub allow_networks: Vec<Cidr>,
}

pub(super) fn webhooks(section: Section<'_>) -> WebhooksConfig {
    let allow_networks = section.list("allow_networks", Cidr::ALLOWED, Cidr::parse);
    section.finish();
    WebhooksConfig { allow_networks: allow_networks.unwrap_or_default() }
}
