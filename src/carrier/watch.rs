//! What is asked of carriers on behalf of captured calls, put among the messages of these.

use std::sync::{Arc, Mutex};

use adapters::exchange::{HttpRequest, HttpResponse};
use uuid::Uuid;

use super::Account;
use crate::capture::{About, Raw, Registry, Secrets, Web};
use crate::workers::poller::now;

/// The call that is asked for.
#[derive(Clone)]
pub(super) struct Watch {
    pub(super) call: Uuid,
    pub(super) captures: Arc<Mutex<Registry>>,
}

/// A request that was kept; its answer is still to come.
pub(super) struct Asked {
    secrets: Secrets,
    peer: String,
    method: String,
    url: String,
}

impl Watch {
    /// A request leaves; none if it is not kept.
    pub(super) fn asks(&self, account: &Account, request: &HttpRequest) -> Option<Asked> {
        self.captures.lock().ok()?.takes_web(About::Call(self.call))?;
        let asked = Asked {
            secrets: account.secrets(),
            peer: host(&request.url),
            method: request.method.as_str().to_owned(),
            url: request.url.clone(),
        };
        let raw = Raw {
            method: &asked.method,
            url: &asked.url,
            status: None,
            headers: Some(&request.headers),
            body: &request.body,
        };
        self.keep(false, &asked, &raw);
        Some(asked)
    }

    /// Its answer has come.
    pub(super) fn hears(&self, asked: &Asked, answer: &HttpResponse) {
        let raw = Raw {
            method: &asked.method,
            url: &asked.url,
            status: Some(answer.status),
            headers: Some(&answer.headers),
            body: &answer.body,
        };
        self.keep(true, asked, &raw);
    }

    fn keep(&self, incoming: bool, asked: &Asked, raw: &Raw<'_>) {
        let web = Web::new(now(), incoming, asked.peer.clone(), raw, &asked.secrets);
        if let Ok(mut captures) = self.captures.lock() {
            captures.web(self.call, web);
        }
    }
}

/// Host and port of an address; nothing else of it, for there may be a password before the host.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::host;

    /// Neither user nor path are part of a host.
    #[test]
    fn hosts_of_addresses() {
        for (url, expected) in [
            ("https://api.example/2010/x?y=1", "api.example"),
            ("https://me:pass@api.example:8443/x@y", "api.example:8443"),
            ("http://[::1]:80", "[::1]:80"),
            ("", ""),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
    }
}
