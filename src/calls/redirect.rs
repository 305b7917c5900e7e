//! Where a call that we place is sent to instead (3xx, RFC 3261 8.1.3.4), without I/O.

use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::message::Message;
use crate::sip::core::uri::{Scheme, Uri};

pub mod history;

/// Addresses that one call follows, however many redirections name them.
pub const REDIRECTS_MAX: usize = 5;
/// Preference of a Contact that names none, in thousandths.
const Q_DEFAULT: u16 = 1_000;

/// The redirections of one call.
#[derive(Debug, Default)]
pub struct Redirects {
    /// Where it has been sent, so that it does not run in circles.
    known: Vec<String>,
}

impl Redirects {
    /// The Request-URIs that a redirection names and that have not been tried, in the order in
    /// which they are to be: by `q`, then as they stand. `called` is the one that was called first.
    pub fn take(&mut self, called: &str, response: &Message) -> Vec<String> {
        if !self.knows(called) {
            self.known.push(called.to_owned());
        }
        let mut contacts: Vec<(u16, String)> =
            response.values(HeaderName::Contact).filter_map(contact).collect();
        contacts.sort_by_key(|(q, _)| std::cmp::Reverse(*q));
        let mut targets = Vec::new();
        for (_, uri) in contacts {
            // The one that was called first is not one that was followed.
            if self.known.len() <= REDIRECTS_MAX && !self.knows(&uri) {
                self.known.push(uri.clone());
                targets.push(uri);
            }
        }
        targets
    }

    fn knows(&self, uri: &str) -> bool {
        let Ok(uri) = Uri::parse(uri) else { return true };
        self.known.iter().any(|known| Uri::parse(known).is_ok_and(|known| known.equivalent(&uri)))
    }
}

/// Preference and Request-URI of a Contact that can be called.
fn contact(text: &str) -> Option<(u16, String)> {
    let contact = NameAddr::parse(text).ok()?;
    if contact.uri.scheme != Scheme::Sip {
        return None;
    }
    let q = contact.params.get("q").map_or(Some(Q_DEFAULT), thousandths)?;
    let uri = contact.uri.as_str();
    // Headers belong in no Request-URI (RFC 3261 19.1.1).
    let uri = uri.split_once('?').filter(|_| contact.uri.headers.is_some()).map_or(uri, |u| u.0);
    Some((q, uri.to_owned()))
}

/// `q` in thousandths (RFC 3261 25.1, `qvalue`).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    let digits = rest.len() <= 3 && rest.bytes().all(|byte| byte.is_ascii_digit());
    let part: u16 = format!("{rest:0<3}").parse().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(Q_DEFAULT),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn moved(contacts: &str) -> Message {
        let text = format!("SIP/2.0 302 Moved\r\n{contacts}Content-Length: 0\r\n\r\n");
        Message::parse(Bytes::from(text)).unwrap()
    }

    const CALLED: &str = "sip:a@192.0.2.1";

    /// The best comes first, equals as they stand; what cannot be called is left out.
    #[test]
    fn the_best_comes_first() {
        let response = moved(
            "Contact: <sip:c@192.0.2.3>;q=0.5, \"B\" <sip:b@192.0.2.2?X=1>;q=0.55\r\n\
             Contact: sip:d@192.0.2.4\r\nContact: <tel:+4930>;q=1.0, <sips:e@192.0.2.5>\r\n\
             Contact: <sip:f@192.0.2.6>;q=1.5, <sip:g@192.0.2.7>;q=x, <sip:h@192.0.2.8>;q=1\r\n",
        );
        assert_eq!(
            Redirects::default().take(CALLED, &response),
            ["sip:d@192.0.2.4", "sip:h@192.0.2.8", "sip:b@192.0.2.2", "sip:c@192.0.2.3"]
        );
        assert!(Redirects::default().take(CALLED, &moved("")).is_empty());
        assert!(Redirects::default().take(CALLED, &moved("Contact: *\r\n")).is_empty());
    }

    /// Nobody is called twice, in however many steps, and five addresses are enough.
    #[test]
    fn circles_and_crowds_end() {
        let mut redirects = Redirects::default();
        let back = moved("Contact: <sip:a@192.0.2.1>, <sip:b@192.0.2.2>\r\n");
        assert_eq!(redirects.take(CALLED, &back), ["sip:b@192.0.2.2"]);
        assert!(redirects.take("sip:b@192.0.2.2", &back).is_empty());
        let crowd: String = (1..20).map(|n| format!("Contact: <sip:x{n}@192.0.2.9>\r\n")).collect();
        let followed = redirects.take("sip:b@192.0.2.2", &moved(&crowd));
        assert_eq!(followed.len(), REDIRECTS_MAX - 1);
        assert!(redirects.take("sip:x1@192.0.2.9", &moved(&crowd)).is_empty());
    }
}
