//! What an INVITE tells of where its call was before: History-Info (RFC 7044) and Diversion
//! (RFC 5806).

use crate::sip::core::headers::{HeaderName, NameAddr};
use crate::sip::core::message::Message;
use crate::sip::core::refer_to::escape;

/// Diversions that are told; the oldest are left out beyond it.
pub const DIVERSIONS_MAX: usize = 5;
/// Why a call was diverted, as far as its redirection does not say (RFC 5806 3).
const DIVERTED: &str = "unconditional";

/// Where a call was.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Values of History-Info, without that of the place itself.
    before: Vec<String>,
    /// The entry of the place itself: its index, and by which it came about.
    index: Option<(String, String)>,
    /// Values of Diversion, the latest first.
    diversions: Vec<String>,
}

/// Without URIs: they are telephone numbers.
impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("before", &self.before.len()).finish_non_exhaustive()
    }
}

impl History {
    /// That of the place number `place`, from 1, to which the one at `uri` with this history sends
    /// the call by `response`.
    pub fn redirected(&self, uri: &str, response: &Message, place: usize) -> Self {
        let status = response.status().unwrap_or_default();
        let (index, from) = self.index.clone().unwrap_or_else(|| ("1".to_owned(), String::new()));
        let why = escape(&format!("SIP;cause={status}"));
        let mut before = self.before.clone();
        before.push(format!("<{uri}?Reason={why}>;index={index}{from}"));
        let told = response.values(HeaderName::Diversion);
        let told = told.filter(|value| NameAddr::parse(value).is_ok()).map(str::to_owned);
        let mut diversions: Vec<String> = told.collect();
        if diversions.is_empty() {
            diversions.push(format!("<{uri}>;reason={DIVERTED};counter=1"));
        }
        diversions.extend(self.diversions.iter().cloned());
        diversions.truncate(DIVERSIONS_MAX);
        let own = (format!("{index}.{place}"), format!(";mp={index}"));
        Self { before, index: Some(own), diversions }
    }

    /// The fields of the INVITE to `uri`; none of a call that was nowhere else.
    pub fn headers(&self, uri: &str) -> Vec<(String, String)> {
        let Some((index, from)) = &self.index else { return Vec::new() };
        let field = |name: HeaderName, value: String| (name.as_str().to_owned(), value);
        let before = self.before.iter().cloned();
        let own = format!("<{uri}>;index={index}{from}");
        let history = before.chain([own]).map(|value| field(HeaderName::HistoryInfo, value));
        let diversions = self.diversions.iter().cloned();
        history.chain(diversions.map(|value| field(HeaderName::Diversion, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn moved(status: u16, lines: &str) -> Message {
        let text = format!("SIP/2.0 {status} Moved\r\n{lines}Content-Length: 0\r\n\r\n");
        Message::parse(Bytes::from(text)).unwrap()
    }

    fn told(history: &History, uri: &str) -> Vec<String> {
        history.headers(uri).into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    /// A call that was nowhere says nothing; one that was sent on twice says where it was, in order
    /// (RFC 7044 10.3), and who diverted it, the latest first (RFC 5806 4).
    #[test]
    fn the_way_of_a_call() {
        let (a, b, c) = ("sip:a@192.0.2.1", "sip:b@192.0.2.2", "sip:c@192.0.2.3");
        let new = History::default();
        assert!(told(&new, a).is_empty());
        let at_b = new.redirected(a, &moved(302, ""), 1);
        assert_eq!(
            told(&at_b, b),
            [
                "History-Info: <sip:a@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1",
                "History-Info: <sip:b@192.0.2.2>;index=1.1;mp=1",
                "Diversion: <sip:a@192.0.2.1>;reason=unconditional;counter=1",
            ]
        );
        let why = "Diversion: \"B\" <sip:b@192.0.2.2>;reason=user-busy, <<>>\r\n";
        let at_c = at_b.redirected(b, &moved(301, why), 2);
        assert_eq!(
            told(&at_c, c),
            [
                "History-Info: <sip:a@192.0.2.1?Reason=SIP%3Bcause%3D302>;index=1",
                "History-Info: <sip:b@192.0.2.2?Reason=SIP%3Bcause%3D301>;index=1.1;mp=1",
                "History-Info: <sip:c@192.0.2.3>;index=1.1.2;mp=1.1",
                "Diversion: \"B\" <sip:b@192.0.2.2>;reason=user-busy",
                "Diversion: <sip:a@192.0.2.1>;reason=unconditional;counter=1",
            ]
        );
        assert!(!format!("{at_c:?}").contains("192"));
    }

    /// However many diversions a redirection names, few are passed on.
    #[test]
    fn diversions_have_a_limit() {
        let many: String = (0..20).map(|n| format!("Diversion: <sip:{n}@a>\r\n")).collect();
        let history = History::default().redirected("sip:a@b", &moved(302, &many), 1);
        assert_eq!(told(&history, "sip:c@d").len(), 2 + DIVERSIONS_MAX);
    }
}
