//! Where webhooks may go: whoever writes a URL must not reach what only this server can reach.

use std::net::IpAddr;

use http::Uri;

use crate::config::Allowed;
use crate::outward::is_public;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Why a webhook does not go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no URL that can be posted to.
    #[error("not an https URL with a host and without credentials")]
    Url,
    /// The address is not one of the public network.
    #[error(
        "the address is not public, and neither webhooks.allow_networks nor outward.allow has it"
    )]
    Private,
    /// Without TLS anybody on the way could read it.
    #[error("http is for what webhooks.allow_networks or outward.allow names; use https")]
    Plain,
}

/// Decides where webhooks may go.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    allowed: Allowed,
}

/// Where a webhook goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Over TLS.
    pub(crate) tls: bool,
    /// Name or address, without brackets.
    pub(crate) host: String,
    /// Port.
    pub(crate) port: u16,
    /// Host as the request names it.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) path: String,
}

impl Guard {
    /// Lets webhooks go to the public network and to these.
    pub fn new(allowed: impl Into<Allowed>) -> Self {
        Self { allowed: allowed.into() }
    }

    /// Looks at a URL as it is written; what its name leads to is looked at when it is used.
    ///
    /// # Errors
    ///
    /// If it is none that webhooks can go to.
    pub fn check(&self, url: &str) -> Result<(), Refused> {
        let target = target(url)?;
        match target.host.parse() {
            Ok(address) => self.admit(&target, address),
            Err(_) if !target.tls && self.allowed.is_empty() => Err(Refused::Plain),
            Err(_) => Ok(()),
        }
    }

    /// Whether a webhook may go to `address` when its target's name leads there.
    pub(crate) fn admit(&self, target: &Target, address: IpAddr) -> Result<(), Refused> {
        if self.allowed.admits(&target.host, address) {
            return Ok(());
        }
        match (is_public(address), target.tls) {
            (false, _) => Err(Refused::Private),
            (true, false) => Err(Refused::Plain),
            (true, true) => Ok(()),
        }
    }
}

/// Reads a URL.
pub(crate) fn target(url: &str) -> Result<Target, Refused> {
    if url.len() > URL_BYTES_MAX {
        return Err(Refused::Url);
    }
    let uri: Uri = url.parse().map_err(|_| Refused::Url)?;
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        _ => return Err(Refused::Url),
    };
    let authority = uri.authority().ok_or(Refused::Url)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(Refused::Url);
    }
    Ok(Target {
        tls,
        host: host.to_owned(),
        port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
        authority: authority.as_str().to_owned(),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URLs are checked as far as they tell; private networks and plain text must be allowed.
    #[test]
    fn urls() {
        let open = Guard::default();
        let lenient = Guard::new(Allowed::parse(&["127.0.0.0/8"]).unwrap());
        for (url, strict, allowed) in [
            ("https://example.com/hook?x=1", Ok(()), Ok(())),
            ("https://8.8.8.8/", Ok(()), Ok(())),
            ("http://example.com/", Err(Refused::Plain), Ok(())),
            ("http://8.8.8.8/", Err(Refused::Plain), Err(Refused::Plain)),
            ("http://127.0.0.1:8080/x", Err(Refused::Private), Ok(())),
            ("https://[::1]/", Err(Refused::Private), Err(Refused::Private)),
            ("https://10.0.0.1/", Err(Refused::Private), Err(Refused::Private)),
            ("https://user:pass@example.com/", Err(Refused::Url), Err(Refused::Url)),
            ("ftp://example.com/", Err(Refused::Url), Err(Refused::Url)),
            ("/hook", Err(Refused::Url), Err(Refused::Url)),
            ("", Err(Refused::Url), Err(Refused::Url)),
        ] {
            assert_eq!(open.check(url), strict, "{url}");
            assert_eq!(lenient.check(url), allowed, "{url}");
        }
    }
}
