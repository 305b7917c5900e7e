//! Who we say that calls, in calls that we place: From, the identity that is asserted to a trunk
//! (RFC 3325), and privacy (RFC 3323), without I/O.

use adapters::sip::CallerIdHeader;

use crate::sip::core::headers::HeaderName;
use crate::sip::core::uri::{Scheme, Uri};

/// From of a caller whose identity is withheld (RFC 3323 4.1.1.3).
const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

/// What a caller wants of its identity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// It may be shown.
    #[default]
    None,
    /// It is withheld from the called party; the trunk is told (RFC 3325 9.3).
    Id,
}

/// The identity of one call.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// User of From.
    pub user: String,
    /// The name that is displayed beside it.
    pub name: Option<String>,
    /// Whether it is withheld.
    pub privacy: Privacy,
    /// In which field the trunk is told, besides From.
    pub header: CallerIdHeader,
    /// What it is told: a number, or a `sip:`, `sips:` or `tel:` URI; that of From if absent.
    pub identity: Option<String>,
}

/// Without numbers and names.
impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented")
            .field("privacy", &self.privacy)
            .field("header", &self.header)
            .finish_non_exhaustive()
    }
}

impl Presented {
    /// The value of From, without tag, of a caller at `host`.
    pub fn from(&self, host: &str) -> String {
        match self.privacy {
            Privacy::Id => ANONYMOUS.to_owned(),
            Privacy::None => self.address(&format!("sip:{}@{host}", self.user)),
        }
    }

    /// The user of our Contact: none that tells who calls, if that is withheld.
    pub fn contact_user(&self) -> Option<String> {
        (self.privacy == Privacy::None).then(|| self.user.clone())
    }

    /// The fields that tell the trunk.
    pub fn headers(&self, host: &str) -> Vec<(String, String)> {
        let withheld = self.privacy == Privacy::Id;
        let (name, params) = match self.header {
            CallerIdHeader::From => (None, ""),
            CallerIdHeader::PAssertedIdentity => (Some(HeaderName::PAssertedIdentity), ""),
            CallerIdHeader::PPreferredIdentity => (Some(HeaderName::PPreferredIdentity), ""),
            CallerIdHeader::RemotePartyId if withheld => {
                (Some(HeaderName::RemotePartyId), ";party=calling;privacy=full")
            }
            CallerIdHeader::RemotePartyId => {
                (Some(HeaderName::RemotePartyId), ";party=calling;privacy=off")
            }
        };
        let uri = match &self.identity {
            Some(uri) if is_identity_uri(uri) => uri.clone(),
            Some(number) => format!("sip:{number}@{host}"),
            None => format!("sip:{}@{host}", self.user),
        };
        let value = || format!("{}{params}", self.address(&uri));
        let asserted = name.map(|name| (name.as_str().to_owned(), value()));
        let privacy = withheld.then(|| (HeaderName::Privacy.as_str().to_owned(), "id".to_owned()));
        asserted.into_iter().chain(privacy).collect()
    }

    fn address(&self, uri: &str) -> String {
        match &self.name {
            None => format!("<{uri}>"),
            Some(name) => {
                let name = name.replace('\\', "\\\\").replace('"', "\\\"");
                format!("\"{name}\" <{uri}>")
            }
        }
    }
}

/// Whether text is a URI that can name a caller.
pub fn is_identity_uri(text: &str) -> bool {
    let bracketed = format!("<{text}>");
    let whole = crate::sip::core::headers::NameAddr::parse(&bracketed);
    whole.is_ok_and(|whole| whole.uri.as_str() == text)
        && Uri::parse(text).is_ok_and(|uri| {
            matches!(uri.scheme, Scheme::Sip | Scheme::Sips | Scheme::Tel) && uri.headers.is_none()
        })
}

/// The longest name that is displayed, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Whether text can be displayed beside an address.
pub fn is_display_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::core::headers::NameAddr;

    fn caller() -> Presented {
        Presented { user: "+4940".to_owned(), ..Presented::default() }
    }

    fn told(presented: &Presented) -> String {
        let headers = presented.headers("us.test");
        headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
    }

    /// Every way to tell who calls, and what is withheld where it is to be.
    #[test]
    fn identities() {
        let plain = caller();
        assert_eq!(plain.from("us.test"), "<sip:+4940@us.test>");
        assert_eq!((told(&plain).as_str(), plain.contact_user()), ("", Some("+4940".to_owned())));
        let asserted = Presented { header: CallerIdHeader::PAssertedIdentity, ..caller() };
        assert_eq!(told(&asserted), "P-Asserted-Identity: <sip:+4940@us.test>\n");
        let preferred = Presented {
            header: CallerIdHeader::PPreferredIdentity,
            identity: Some("+4930".to_owned()),
            name: Some("Ann".to_owned()),
            ..caller()
        };
        assert_eq!(told(&preferred), "P-Preferred-Identity: \"Ann\" <sip:+4930@us.test>\n");
        let hidden = Presented {
            header: CallerIdHeader::PAssertedIdentity,
            identity: Some("tel:+4930".to_owned()),
            privacy: Privacy::Id,
            ..caller()
        };
        assert_eq!(hidden.from("us.test"), ANONYMOUS);
        assert_eq!(told(&hidden), "P-Asserted-Identity: <tel:+4930>\nPrivacy: id\n");
        assert_eq!(hidden.contact_user(), None);
        let old = Presented { header: CallerIdHeader::RemotePartyId, ..caller() };
        let remote = "Remote-Party-ID: <sip:+4940@us.test>;party=calling;privacy=off\n";
        assert_eq!(told(&old), remote);
        assert!(!format!("{preferred:?}").contains("49"));
    }

    /// A name cannot get out of its quotes.
    #[test]
    fn names_are_quoted() {
        for name in ["a\"b", "a\\", "\\\" <sip:evil@x>;tag=1", "<>"] {
            assert!(is_display_name(name));
            let from = Presented { name: Some(name.to_owned()), ..caller() }.from("us.test");
            let read = NameAddr::parse(&from).unwrap();
            assert_eq!(read.display_name().as_deref(), Some(name));
            assert_eq!(read.uri.as_str(), "sip:+4940@us.test");
        }
        for name in ["", "a\r\nb", "\0", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(!is_display_name(name), "{name:?}");
        }
        for uri in ["sip:a@b>;x", "http://a", "+4930", "sip:a@b?X=1", "tel:1>,<tel:2"] {
            assert!(!is_identity_uri(uri), "{uri}");
        }
    }
}
