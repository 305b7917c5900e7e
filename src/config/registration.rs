//! `register` of `[[trunks]]`: our registration with a provider.

use std::time::Duration;

use super::section::Section;
use crate::sip::core::endpoint::Transport;
use crate::sip::core::uri::{Scheme, Uri};

/// How long a registration is asked for, unless configured.
const EXPIRES: Duration = Duration::from_secs(600);

/// A registration with a provider (RFC 3261 10.2), under the trunk's `username`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationConfig {
    /// URI of the registrar.
    pub registrar: String,
    /// User part of the address that is registered; the trunk's `username` if absent.
    pub user: Option<String>,
    /// How long it is asked for.
    pub expires: Duration,
}

/// Reads the keys; `account` tells whether the trunk has a username and password.
pub(super) fn registration(section: &Section<'_>, account: bool) -> Option<RegistrationConfig> {
    let register = section.flag("register").unwrap_or(false);
    let allowed = "a SIP URI without user, such as \"sip:sip.example.com;transport=tls\"";
    let registrar = section.text("registrar", allowed, |text| {
        let uri = Uri::parse(text).map_err(|error| error.to_string())?;
        let plain = uri.user.is_none() && uri.headers.is_none();
        if uri.scheme != Scheme::Sip || !plain {
            return Err("not the URI of a registrar".to_owned());
        }
        if let Err(name) = Transport::of_uri(&uri) {
            return Err(format!("no transport: {name}"));
        }
        Ok(text.to_owned())
    });
    let expires = section.seconds("expires_s", 60..=86_400).unwrap_or(EXPIRES);
    if !register {
        return None;
    }
    if !section.has("registrar") {
        section.missing("registrar", "register = true needs to know with whom");
    }
    if !account {
        section.missing("username", "register = true needs username and password");
    }
    Some(RegistrationConfig { registrar: registrar?, user: None, expires })
}
