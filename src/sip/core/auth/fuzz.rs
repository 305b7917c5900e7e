//! Body of the fuzz target: what stands in the header fields of authentication.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use media::time::MonoTime;

use super::challenge::CHALLENGE_MAX_BYTES;
use super::params::TEXT_MAX_BYTES;
use super::{Account, Algorithm, Challenge, Credentials, DigestClient, Server, ServerConfig};
use crate::sip::core::message::Message;

/// Reads the octets as the value of each field. What can be read is written, read again and must
/// be the same; what a client makes of a challenge must be readable credentials; a server must
/// survive the credentials, and prove nobody whose password it does not know.
pub fn sip_auth(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Ok(challenge) = Challenge::parse(text) {
        let written = challenge.to_value();
        // What is written spells out what was left to defaults, so it may pass the limit.
        if written.len() <= CHALLENGE_MAX_BYTES {
            assert_eq!(Challenge::parse(&written), Ok(challenge));
        }
    }
    if let Ok(credentials) = Credentials::parse(text) {
        let written = credentials.to_value();
        let fits = written.len() <= TEXT_MAX_BYTES;
        assert!(
            !fits
                || Credentials::parse(&written).is_ok_and(|again| {
                    (again.username, again.realm, again.nonce, again.uri, again.response)
                        == (
                            credentials.username,
                            credentials.realm,
                            credentials.nonce,
                            credentials.uri,
                            credentials.response,
                        )
                })
        );
    }
    if text.contains(['\r', '\n', '\0']) {
        return;
    }
    client(text);
    server(text);
}

fn message(start: &str, field: &str, text: &str) -> Option<Message> {
    let raw = format!("{start}\r\n{field}: {text}\r\nContent-Length: 0\r\n\r\n");
    Message::parse(Bytes::from(raw)).ok()
}

fn client(text: &str) {
    let Some(response) = message("SIP/2.0 401 Unauthorized", "WWW-Authenticate", text) else {
        return;
    };
    let mut client = DigestClient::new(Arc::new(Account::new("bob", "zanzibar", None)));
    if client.challenged(&response, 7).is_err() {
        assert!(!client.is_active());
        return;
    }
    for (_, value) in client.headers("INVITE", "sip:bob@biloxi.com", b"") {
        assert!(Credentials::parse(&value).is_ok_and(|read| read.username == "bob"));
    }
    // The same challenge again means that the credentials were wrong.
    assert!(client.challenged(&response, 8).is_err());
}

fn server(text: &str) {
    let Some(request) = message("REGISTER sip:h SIP/2.0", "Authorization", text) else { return };
    let algorithms = vec![Algorithm::Sha256, Algorithm::Md5];
    let config = ServerConfig { realm: "r".into(), algorithms, key: [7; 32] };
    let (now, peer) = (MonoTime::from_nanos(1), IpAddr::V4(Ipv4Addr::LOCALHOST));
    let mut server = Server::new(config);
    for password in [None, Some("zanzibar")] {
        let verdict = server.verify(now, peer, &request, |_| password);
        assert!(matches!(verdict, super::Verdict::Unproven { .. }));
    }
}
