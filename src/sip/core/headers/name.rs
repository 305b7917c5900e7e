//! Names of header fields, with their compact forms.

use std::fmt;

/// Declares the names once: variant, full name, compact form (0 when there is none).
macro_rules! header_names {
    ($($variant:ident $full:literal $compact:literal $doc:literal;)+) => {
        /// The name of a header field.
        ///
        /// Comparison with what a message carries ignores case and understands compact forms
        /// (RFC 3261 sections 7.3.1 and 7.3.3 and the IANA registry).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum HeaderName {
            $(#[doc = $doc] $variant,)+
            /// A field without a variant of its own, by its name.
            Other(&'static str),
        }

        /// Every named field, in order of declaration.
        const ALL: &[HeaderName] = &[$(HeaderName::$variant,)+];
        const FULL: &[&str] = &[$($full,)+];
        const COMPACT: &[u8] = &[$($compact,)+];

        impl HeaderName {
            /// The full name as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $full,)+
                    Self::Other(text) => text,
                }
            }
        }

        /// Numbers of the variants, for the header table.
        #[derive(Clone, Copy)]
        #[repr(u8)]
        enum Code { $($variant,)+ }

        impl HeaderName {
            /// The number by which the header table knows the field; `None` for other names.
            const fn number(self) -> Option<u8> {
                match self {
                    $(Self::$variant => Some(Code::$variant as u8),)+
                    Self::Other(_) => None,
                }
            }
        }
    };
}

header_names! {
    Accept "Accept" 0 "Media types that may answer (RFC 3261).";
    AcceptContact "Accept-Contact" b'a' "Caller preferences (RFC 3841).";
    AcceptEncoding "Accept-Encoding" 0 "Codings that may answer (RFC 3261).";
    AcceptLanguage "Accept-Language" 0 "Languages that may answer (RFC 3261).";
    AlertInfo "Alert-Info" 0 "An alternative ring tone (RFC 3261).";
    Allow "Allow" 0 "Methods that the sender supports (RFC 3261).";
    AllowEvents "Allow-Events" b'u' "Event packages that the sender supports (RFC 6665).";
    AuthenticationInfo "Authentication-Info" 0 "Mutual digest authentication (RFC 3261).";
    Authorization "Authorization" 0 "Credentials towards a server (RFC 3261).";
    CallId "Call-ID" b'i' "Identifies the call (RFC 3261).";
    CallInfo "Call-Info" 0 "More about caller or callee (RFC 3261).";
    Contact "Contact" b'm' "Where the sender can be reached (RFC 3261).";
    ContentDisposition "Content-Disposition" 0 "How to read the body (RFC 3261).";
    ContentEncoding "Content-Encoding" b'e' "Coding of the body (RFC 3261).";
    ContentLanguage "Content-Language" 0 "Language of the body (RFC 3261).";
    ContentLength "Content-Length" b'l' "Size of the body in octets (RFC 3261).";
    ContentType "Content-Type" b'c' "Media type of the body (RFC 3261).";
    CSeq "CSeq" 0 "Orders requests within a dialog (RFC 3261).";
    Date "Date" 0 "When the message was first sent (RFC 3261).";
    Diversion "Diversion" 0 "Who diverted the call (RFC 5806).";
    ErrorInfo "Error-Info" 0 "More about an error (RFC 3261).";
    Event "Event" b'o' "Event package (RFC 6665).";
    Expires "Expires" 0 "Seconds until message or content expires (RFC 3261).";
    From "From" b'f' "Who initiated the request (RFC 3261).";
    HistoryInfo "History-Info" 0 "Retargeting history (RFC 7044).";
    Identity "Identity" b'y' "Signed caller identity (RFC 8224).";
    IdentityInfo "Identity-Info" b'n' "Certificate of the identity (RFC 4474).";
    InReplyTo "In-Reply-To" 0 "Call-IDs that this call returns (RFC 3261).";
    Join "Join" 0 "A dialog to join (RFC 3911).";
    MaxForwards "Max-Forwards" 0 "How many hops remain (RFC 3261).";
    MimeVersion "MIME-Version" 0 "Version of MIME (RFC 3261).";
    MinExpires "Min-Expires" 0 "Shortest refresh interval in seconds (RFC 3261).";
    MinSe "Min-SE" 0 "Shortest session interval in seconds (RFC 4028).";
    Organization "Organization" 0 "Organisation of the sender (RFC 3261).";
    PAccessNetworkInfo "P-Access-Network-Info" 0 "Access network (RFC 7315).";
    PAssertedIdentity "P-Asserted-Identity" 0 "Identity that a trusted network asserts (RFC 3325).";
    PChargingVector "P-Charging-Vector" 0 "Correlates charging records (RFC 7315).";
    PEarlyMedia "P-Early-Media" 0 "Authorises early media (RFC 5009).";
    PPreferredIdentity "P-Preferred-Identity" 0 "Identity that the user prefers (RFC 3325).";
    Path "Path" 0 "Route towards a registered contact (RFC 3327).";
    Priority "Priority" 0 "Urgency as the client sees it (RFC 3261).";
    Privacy "Privacy" 0 "What to withhold (RFC 3323).";
    ProxyAuthenticate "Proxy-Authenticate" 0 "Challenge of a proxy (RFC 3261).";
    ProxyAuthorization "Proxy-Authorization" 0 "Credentials towards a proxy (RFC 3261).";
    ProxyRequire "Proxy-Require" 0 "Extensions a proxy must support (RFC 3261).";
    RAck "RAck" 0 "Which reliable response is acknowledged (RFC 3262).";
    RSeq "RSeq" 0 "Number of a reliable response (RFC 3262).";
    Reason "Reason" 0 "Why a call ended (RFC 3326).";
    RecordRoute "Record-Route" 0 "Proxies that stay on the path (RFC 3261).";
    ReferTo "Refer-To" b'r' "Target of a transfer (RFC 3515).";
    ReferredBy "Referred-By" b'b' "Who asked for the transfer (RFC 3892).";
    RejectContact "Reject-Contact" b'j' "Caller preferences (RFC 3841).";
    RemotePartyId "Remote-Party-ID" 0 "Identity before RFC 3325, still in use.";
    Replaces "Replaces" 0 "A dialog to replace (RFC 3891).";
    ReplyTo "Reply-To" 0 "Where to return the call (RFC 3261).";
    RequestDisposition "Request-Disposition" b'd' "Caller preferences (RFC 3841).";
    Require "Require" 0 "Extensions the peer must support (RFC 3261).";
    RetryAfter "Retry-After" 0 "Seconds to wait before another attempt (RFC 3261).";
    Route "Route" 0 "Proxies to pass (RFC 3261).";
    Server "Server" 0 "Software of a server (RFC 3261).";
    ServiceRoute "Service-Route" 0 "Route of the home network (RFC 3608).";
    SessionExpires "Session-Expires" b'x' "Session timer (RFC 4028).";
    SessionId "Session-ID" 0 "End-to-end session identifier (RFC 7989).";
    SipEtag "SIP-ETag" 0 "Tag of published state (RFC 3903).";
    SipIfMatch "SIP-If-Match" 0 "Condition on published state (RFC 3903).";
    Subject "Subject" b's' "What the call is about (RFC 3261).";
    SubscriptionState "Subscription-State" 0 "State of a subscription (RFC 6665).";
    Supported "Supported" b'k' "Extensions that the sender supports (RFC 3261).";
    Timestamp "Timestamp" 0 "Time stamp for round-trip estimates (RFC 3261).";
    To "To" b't' "Logical recipient (RFC 3261).";
    Unsupported "Unsupported" 0 "Extensions that are not supported (RFC 3261).";
    UserAgent "User-Agent" 0 "Software of a client (RFC 3261).";
    Via "Via" b'v' "Path of the request (RFC 3261).";
    Warning "Warning" 0 "More about a response (RFC 3261).";
    WwwAuthenticate "WWW-Authenticate" 0 "Challenge of a server (RFC 3261).";
}

/// The number of a field without a variant.
pub(crate) const UNKNOWN: u8 = u8::MAX;
/// The longest full name in the table, in octets.
const NAME_BYTES_MAX: usize = 21;

/// Indices into [`ALL`] ordered by length of the name, so that a lookup compares few names.
static BY_LENGTH: [u8; ALL.len()] = by_length();
/// Where the names of each length begin in [`BY_LENGTH`].
static LENGTH_STARTS: [u8; NAME_BYTES_MAX + 2] = length_starts();
/// Index by compact letter, [`UNKNOWN`] when there is none.
static BY_LETTER: [u8; 26] = by_letter();

// Sets of fields are bits of a `u128`.
const _: () = assert!(ALL.len() <= 128);

const fn by_length() -> [u8; ALL.len()] {
    let mut order = [0u8; ALL.len()];
    let (mut filled, mut length) = (0, 0);
    while length <= NAME_BYTES_MAX {
        let mut index = 0;
        while index < ALL.len() {
            if FULL[index].len() == length {
                order[filled] = index as u8;
                filled += 1;
            }
            index += 1;
        }
        length += 1;
    }
    assert!(filled == ALL.len());
    order
}

const fn length_starts() -> [u8; NAME_BYTES_MAX + 2] {
    let mut starts = [0u8; NAME_BYTES_MAX + 2];
    let mut length = 0;
    while length <= NAME_BYTES_MAX {
        let (mut count, mut index) = (0, 0);
        while index < ALL.len() {
            if FULL[index].len() == length {
                count += 1;
            }
            index += 1;
        }
        starts[length + 1] = starts[length] + count;
        length += 1;
    }
    starts
}

const fn by_letter() -> [u8; 26] {
    let mut letters = [UNKNOWN; 26];
    let mut index = 0;
    while index < ALL.len() {
        if COMPACT[index] != 0 {
            letters[(COMPACT[index] - b'a') as usize] = index as u8;
        }
        index += 1;
    }
    letters
}

/// The number of the field that `name` means, or [`UNKNOWN`].
pub(crate) fn number_of(name: &str) -> u8 {
    if let [letter] = name.as_bytes() {
        let index = usize::from(letter.to_ascii_lowercase().wrapping_sub(b'a'));
        return BY_LETTER.get(index).copied().unwrap_or(UNKNOWN);
    }
    let bounds = (LENGTH_STARTS.get(name.len()), LENGTH_STARTS.get(name.len() + 1));
    let (Some(&start), Some(&end)) = bounds else { return UNKNOWN };
    let candidates = BY_LENGTH.get(usize::from(start)..usize::from(end)).unwrap_or_default();
    candidates
        .iter()
        .copied()
        .find(|&index| {
            FULL.get(usize::from(index)).is_some_and(|full| full.eq_ignore_ascii_case(name))
        })
        .unwrap_or(UNKNOWN)
}

impl HeaderName {
    /// The field that `name` means, in any case, in full or compact form; `None` when this list
    /// has no such field.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::from_number(number_of(name))
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        ALL.get(usize::from(number)).copied()
    }

    /// The compact form, when the field has one.
    pub fn compact(self) -> Option<char> {
        let letter = *COMPACT.get(usize::from(self.number()?))?;
        (letter != 0).then_some(char::from(letter))
    }

    /// Every field that has a variant.
    pub fn all() -> impl Iterator<Item = Self> {
        ALL.iter().copied()
    }

    /// The bit of this field in a set of fields; no bit for [`HeaderName::Other`].
    pub(crate) const fn bit(self) -> u128 {
        match self.number() {
            Some(number) => 1 << number,
            None => 0,
        }
    }

    /// The number to look for in a header table; a name given as [`HeaderName::Other`] that has a
    /// variant finds it.
    pub(crate) fn table_number(self) -> u8 {
        match self {
            Self::Other(name) => number_of(name),
            named => named.number().unwrap_or(UNKNOWN),
        }
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
