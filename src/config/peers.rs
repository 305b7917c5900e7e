//! `[[trunks]]` and `[[users]]`: who may call in.

use std::net::IpAddr;

use media::codec::AudioFormat;

use super::agents::name;
use super::section::Section;
use super::server::SIP_CODECS;
use super::values::Cidr;

/// A SIP peer that calls come from: a carrier or a PBX, known by its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkConfig {
    /// Unique name, shared with no user.
    pub name: String,
    /// Networks it calls from.
    pub peers: Vec<Cidr>,
    /// SIP headers that its agents are shown, in the case they were written.
    pub headers: Vec<String>,
    /// Codecs for this trunk, best first; those of `[sip]` if absent.
    pub codecs: Option<Vec<AudioFormat>>,
    /// Its peers may transfer their calls and replace them.
    pub refer: bool,
}

/// A softphone that may call in, known by the user part of its `From` and its addresses.
///
/// Addresses alone prove who calls: a user without digest authentication is as safe as the network
/// it calls from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserConfig {
    /// User part of the calling SIP URI; unique, shared with no trunk.
    pub name: String,
    /// Networks it calls from.
    pub peers: Vec<Cidr>,
    /// It may transfer its calls and replace others.
    pub refer: bool,
}

/// Bits of the most specific of `peers` that holds `address`.
pub(super) fn specificity(peers: &[Cidr], address: IpAddr) -> Option<u8> {
    peers.iter().filter(|peer| peer.contains(address)).map(Cidr::prefix_bits).max()
}

/// Reads a trunk. `claims` are the networks of those above and their names: nothing could tell
/// whose a call is from a network that two of them claim.
pub(super) fn trunk(section: Section<'_>, claims: &mut Vec<(Cidr, String)>) -> Option<TrunkConfig> {
    let name = name(&section);
    let peers = peers(&section);
    for peer in &peers {
        if let Some((_, other)) = claims.iter().find(|(claimed, _)| claimed == peer) {
            section.conflict("peers", format!("{peer} belongs to trunk \"{other}\" already"));
        }
        claims.push((*peer, name.clone().unwrap_or_default()));
    }
    let allowed = "names of SIP headers, such as \"X-Tenant\"";
    let headers = section.list("headers", allowed, header_name).unwrap_or_default();
    let codecs = section.words("codecs", SIP_CODECS);
    let refer = refer(&section);
    section.finish();
    Some(TrunkConfig { name: name?, peers, headers, codecs, refer })
}

pub(super) fn user(section: Section<'_>) -> Option<UserConfig> {
    let name = name(&section);
    let peers = peers(&section);
    let refer = refer(&section);
    section.finish();
    Some(UserConfig { name: name?, peers, refer })
}

/// Whether transfers by a peer are allowed.
fn refer(section: &Section<'_>) -> bool {
    section.word("refer", &[("allow", true), ("refuse", false)]).unwrap_or(true)
}

fn peers(section: &Section<'_>) -> Vec<Cidr> {
    if !section.has("peers") {
        section.missing("peers", "the addresses that calls come from");
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
