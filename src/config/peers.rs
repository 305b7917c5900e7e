//! `[[trunks]]` and `[[users]]`: who may call in.
//!
//! A trunk is known by its addresses, by a user name and password (digest authentication), or by
//! both. A user is known by name and address, or by name and password, wherever it calls from.

use std::net::IpAddr;

use media::codec::AudioFormat;

use super::agents::name;
use super::outbound::{Outbound, outbound};
use super::registration::{RegistrationConfig, registration};
use super::secret::Secret;
use super::section::Section;
use super::server::SIP_CODECS;
use super::sip::identity;
use super::srtp;
use super::values::Cidr;
use crate::calls::digits::DtmfMode;
use crate::listen::tls::ClientFiles;
use crate::routing::Pattern;
use crate::sip::core::endpoint::Reliability;
use crate::sip::core::offer_answer::SrtpPolicy;

/// A SIP peer that calls come from: a carrier or a PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Unique name, shared with no user.
    pub name: String,
    /// Networks it calls from; with `digest` empty for anywhere.
    pub peers: Vec<Cidr>,
    /// It must prove that it knows `username` and `password` when it calls.
    pub digest: bool,
    /// Name for digest authentication, in both directions; shared with no user.
    pub username: Option<String>,
    /// Password for digest authentication, in both directions.
    pub password: Option<Secret>,
    /// The realm whose challenges are answered with them; any if absent.
    pub realm: Option<String>,
    /// Our registration with it.
    pub registration: Option<RegistrationConfig>,
    /// SIP headers that its agents are shown, in the case they were written.
    pub headers: Vec<String>,
    /// Codecs for this trunk, best first; those of `[sip]` if absent.
    pub codecs: Option<Vec<AudioFormat>>,
    /// Names in certificates that prove who calls, in place of addresses.
    pub tls_names: Vec<String>,
    /// Whom we trust to vouch for it over TLS, and who we are.
    pub tls: ClientFiles,
    /// How calls are placed through it.
    pub outbound: Outbound,
    /// Where calls through it may go; as in `[limits]` if absent.
    pub destinations: Option<Vec<Pattern>>,
    /// The country whose numbering plan bare numbers follow: ISO 3166-1 alpha-2.
    pub country: Option<String>,
    /// Packets and messages of its calls are captured.
    pub capture: bool,
    /// Whether digits are sought in its audio; if absent, where it has no other way to send them.
    pub dtmf_inband: Option<bool>,
    /// How digits get to it.
    pub dtmf: DtmfMode,
    /// Its peers may transfer their calls and replace them.
    pub refer: bool,
    /// How provisional responses are treated (RFC 3262).
    pub reliable_provisional: Reliability,
    /// What is demanded about SRTP; as in `[sip]` if absent.
    pub srtp: Option<SrtpPolicy>,
}

/// A softphone that may call in, known by its name and its password or its addresses.
///
/// Without a password addresses alone prove who calls: such a user is as safe as the network it
/// calls from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// User part of the calling SIP URI; unique, shared with no trunk.
    pub name: String,
    /// Networks it calls from; with a password empty for anywhere.
    pub peers: Vec<Cidr>,
    /// What is demanded about SRTP; as in `[sip]` if absent.
    pub srtp: Option<SrtpPolicy>,
    /// What it proves to know, when it calls and when it registers.
    pub password: Option<Secret>,
    /// It may transfer its calls and replace others.
    pub refer: bool,
}

/// Bits of the most specific of `peers` that holds `address`.
pub(crate) fn specificity(peers: &[Cidr], address: IpAddr) -> Option<u8> {
    peers.iter().filter(|peer| peer.contains(address)).map(Cidr::prefix_bits).max()
}

/// Reads a trunk. `claims` are the networks of those above and their names: nothing could tell
/// whose a call is from a network that two of them claim.
pub(super) fn trunk(section: Section<'_>, claims: &mut Vec<(Cidr, String)>) -> Option<TrunkConfig> {
    let name = name(&section);
    let Credentials { digest, username, password, realm } = credentials(&section);
    let registration = registration(&section, username.is_some() && password.is_some());
    let tls_names = section.list("tls_names", TLS_NAME, tls_name).unwrap_or_default();
    let outbound = outbound(&section);
    let proven = digest || registration.is_some() || !tls_names.is_empty();
    let why = "the addresses that calls come from, or auth = \"digest\", register = true, tls_names \
               or targets";
    let peers = peers(&section, proven || !outbound.targets.is_empty(), why);
    for peer in peers.iter().filter(|_| tls_names.is_empty()) {
        if let Some((_, other)) = claims.iter().find(|(claimed, _)| claimed == peer) {
            section.conflict("peers", format!("{peer} belongs to trunk \"{other}\" already"));
        }
        claims.push((*peer, name.clone().unwrap_or_default()));
    }
    let allowed = "names of SIP headers, such as \"X-Tenant\"";
    let headers = section.list("headers", allowed, header_name).unwrap_or_default();
    let codecs = section.words("codecs", SIP_CODECS);
    let destinations = section.list("destinations", Pattern::ALLOWED, Pattern::parse);
    let country = section.text("country", "an ISO 3166-1 code, such as \"DE\"", country);
    let tls = client_files(&section);
    let capture = section.flag("capture").unwrap_or(false);
    let dtmf_inband = section.flag("dtmf_inband");
    let dtmf = section.word("dtmf", DTMF_MODES).unwrap_or_default();
    let refer = refer(&section);
    let reliable_provisional =
        section.word("reliable_provisional", RELIABILITIES).unwrap_or_default();
    let srtp = srtp::policy(&section);
    section.finish();
    Some(TrunkConfig {
        name: name?,
        peers,
        digest,
        username,
        password,
        realm,
        registration,
        headers,
        codecs,
        tls_names,
        tls,
        outbound,
        destinations,
        country,
        dtmf_inband,
        dtmf,
        refer,
        reliable_provisional,
        srtp,
        capture,
    })
}

/// Words for `dtmf`.
const DTMF_MODES: &[(&str, DtmfMode)] = &[
    ("auto", DtmfMode::Auto),
    ("rfc4733", DtmfMode::Events),
    ("info", DtmfMode::Info),
    ("inband", DtmfMode::Tones),
];

fn country(text: &str) -> Result<String, String> {
    let code = text.to_ascii_uppercase();
    match adapters::address::region(&code) {
        Some(_) => Ok(code),
        None => Err("no country".to_owned()),
    }
}

/// Words for `reliable_provisional`.
const RELIABILITIES: &[(&str, Reliability)] = &[
    ("off", Reliability::Off),
    ("supported", Reliability::Supported),
    ("required", Reliability::Required),
];

pub(super) fn user(section: Section<'_>) -> Option<UserConfig> {
    let name = name(&section);
    let password = section.secret("password", PASSWORD_BYTES_MIN);
    let known = section.has("password");
    let peers = peers(&section, known, "the addresses that calls come from, or a password");
    let srtp = srtp::policy(&section);
    let refer = refer(&section);
    section.finish();
    Some(UserConfig { name: name?, peers, srtp, refer, password })
}

/// Whether transfers by a peer are allowed.
fn refer(section: &Section<'_>) -> bool {
    section.word("refer", &[("allow", true), ("refuse", false)]).unwrap_or(true)
}

/// The files of a client side of TLS.
fn client_files(section: &Section<'_>) -> ClientFiles {
    let ca = section.path("tls_ca");
    let certificate = section.path("tls_client_certificate");
    let key = section.path("tls_client_key");
    for (wanted, found, other) in
        [("tls_client_key", &key, &certificate), ("tls_client_certificate", &certificate, &key)]
    {
        if found.is_none() && other.is_some() {
            section.missing(wanted, "a certificate and its key belong together");
        }
    }
    ClientFiles { ca, identity: identity(certificate, key), ca_pem: None }
}

pub(super) const TLS_NAME: &str = "names in certificates, such as \"sip.carrier.example\"";

pub(super) fn tls_name(text: &str) -> Result<String, String> {
    match rustls::pki_types::ServerName::try_from(text) {
        Ok(_) => Ok(text.to_ascii_lowercase()),
        Err(_) => Err("neither a host name nor an address".to_owned()),
    }
}

/// Shortest password that is accepted: shorter ones are found by trying.
const PASSWORD_BYTES_MIN: usize = 8;

/// How a trunk and we prove who we are to each other.
struct Credentials {
    digest: bool,
    username: Option<String>,
    password: Option<Secret>,
    realm: Option<String>,
}

fn credentials(section: &Section<'_>) -> Credentials {
    let digest = section.word("auth", &[("peers", false), ("digest", true)]).unwrap_or(false);
    // What a carrier dealt out is not ours to judge, so its length is not checked.
    let password = section.secret("password", 1);
    let quotable = |text: &str| {
        let control = |c: char| c.is_control() || matches!(c, '"' | '\\');
        if text.is_empty() || text.len() > 128 || text.contains(control) {
            return Err("not fit for a header".to_owned());
        }
        Ok(text.to_owned())
    };
    let allowed = "up to 128 characters without quotes and backslashes";
    let username = section.text("username", allowed, quotable);
    let realm = section.text("realm", allowed, quotable);
    match (section.has("username"), section.has("password")) {
        (true, false) => section.missing("password", "username is given"),
        (false, true) => section.missing("username", "password is given"),
        (false, false) if digest => section.missing("username", "auth = \"digest\" needs it"),
        _ => {}
    }
    Credentials { digest, username, password, realm }
}

fn peers(section: &Section<'_>, optional: bool, why: &str) -> Vec<Cidr> {
    if !section.has("peers") && !optional {
        section.missing("peers", why);
    }
    section.list("peers", Cidr::ALLOWED, Cidr::parse).unwrap_or_default()
}

/// Headers that steer the call or carry credentials are never shown to an agent.
const HEADERS_REFUSED: &[&str] = &["authorization", "proxy-authorization", "identity"];

fn header_name(text: &str) -> Result<String, String> {
    // RFC 3261 25.1, token.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if text.is_empty() || text.len() > 64 || !text.bytes().all(token) {
        return Err("not the name of a header".to_owned());
    }
    if HEADERS_REFUSED.iter().any(|refused| refused.eq_ignore_ascii_case(text)) {
        return Err("this header carries credentials".to_owned());
    }
    Ok(text.to_owned())
}
