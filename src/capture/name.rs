//! Which call a SIP message belongs to.
//!
//! A Call-ID is what somebody else says: calls of two organisations share one if a carrier in front
//! of both keeps it, or if whoever calls wants it so. What cannot be shared is the tag that we have
//! given a dialog (RFC 3261 19.3), which stands in all its messages but the request that opens it,
//! the 100 and the CANCEL of that. Those are known by their transaction.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::SocketAddr;

/// A dialog, as its messages show it.
#[derive(Clone, Copy, Debug)]
pub struct Dialog<'d> {
    /// Our tag.
    pub tag: &'d str,
    /// The INVITE that opened it and where that came from, while it is not answered.
    pub invite: Option<(&'d [u8], SocketAddr)>,
}

/// Digests that nobody outside can collide.
#[derive(Debug, Default)]
pub(super) struct Namer([RandomState; 2]);

/// What a message is known by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Name {
    /// Our tag.
    pub(super) tag: Option<u128>,
    /// The transaction, of what the peer has asked and we have answered.
    pub(super) transaction: Option<u128>,
    /// Who calls, of the same: a caller that proves who it is calls once more, with all of this.
    pub(super) caller: Option<u128>,
    /// We want a proof.
    pub(super) challenges: bool,
}

impl Name {
    /// Whether a message may belong to a call at all.
    pub(super) const fn is_some(&self) -> bool {
        self.tag.is_some() || self.transaction.is_some()
    }
}

impl Namer {
    /// The name of a dialog with this tag of ours.
    pub(super) fn tag(&self, tag: &str) -> u128 {
        self.digest(&tag.as_bytes())
    }

    /// The name of a message that went between us and `peer`.
    pub(super) fn name(&self, incoming: bool, message: &[u8], peer: SocketAddr) -> Name {
        let head = Head::read(message);
        let status = head.status();
        // Of whoever asks first, the tag stands in From.
        let we_ask = incoming == status.is_some();
        let (ours, theirs) = if we_ask { (head.from, head.to) } else { (head.to, head.from) };
        let tag = parameter(behind_address(ours), b"tag").map(|tag| self.digest(&tag));
        if we_ask {
            return Name { tag, ..Name::default() };
        }
        let theirs = parameter(behind_address(theirs), b"tag");
        let via = head.via.split(|byte| *byte == b',').next().unwrap_or_default();
        let sent_by = via.split(|byte| *byte == b';').next().unwrap_or_default();
        let sent_by = sent_by.trim_ascii().rsplit(|byte| byte.is_ascii_whitespace()).next();
        let number = head.cseq.split(|byte| byte.is_ascii_whitespace()).next();
        let transaction = (parameter(via, b"branch"), sent_by, head.call_id, theirs, number);
        Name {
            tag,
            transaction: (!head.via.is_empty()).then(|| self.digest(&transaction)),
            caller: Some(self.digest(&(head.call_id, theirs, peer))),
            challenges: matches!(status, Some(b"401" | b"407")),
        }
    }

    fn digest(&self, value: &impl Hash) -> u128 {
        let [a, b] = &self.0;
        u128::from(a.hash_one(value)) << 64 | u128::from(b.hash_one(value))
    }
}

/// What names a message, as far as it can be read: what is malformed is of interest too.
#[derive(Clone, Copy, Debug, Default)]
struct Head<'m> {
    first: &'m [u8],
    call_id: &'m [u8],
    from: &'m [u8],
    to: &'m [u8],
    via: &'m [u8],
    cseq: &'m [u8],
}

impl<'m> Head<'m> {
    fn read(message: &'m [u8]) -> Self {
        let mut head = Self::default();
        let mut lines = message.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        head.first = lines.next().unwrap_or_default();
        for line in lines.take_while(|line| !line.is_empty()) {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let place = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"call-id" | b"i" => &mut head.call_id,
                b"from" | b"f" => &mut head.from,
                b"to" | b"t" => &mut head.to,
                b"via" | b"v" => &mut head.via,
                b"cseq" => &mut head.cseq,
                _ => continue,
            };
            if place.is_empty() {
                *place = value.get(1..).unwrap_or_default().trim_ascii();
            }
        }
        head
    }

    /// The status, of a response.
    fn status(&self) -> Option<&'m [u8]> {
        let mut words = self.first.split(|byte| *byte == b' ');
        let version = words.next().unwrap_or_default();
        version.to_ascii_uppercase().starts_with(b"SIP/").then(|| words.next().unwrap_or_default())
    }
}

/// What stands behind the URI of a From or To: parameters within it are none of the field's.
fn behind_address(value: &[u8]) -> &[u8] {
    let at = value.iter().rposition(|byte| *byte == b'>');
    at.and_then(|at| value.get(at..)).unwrap_or(value)
}

/// The value of a parameter.
fn parameter<'v>(value: &'v [u8], wanted: &[u8]) -> Option<&'v [u8]> {
    value.split(|byte| *byte == b';').skip(1).find_map(|parameter| {
        let equals = parameter.iter().position(|byte| *byte == b'=')?;
        let (name, value) = parameter.split_at(equals);
        let is_wanted = name.trim_ascii().eq_ignore_ascii_case(wanted);
        is_wanted.then(|| value.get(1..).unwrap_or_default().trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "192.0.2.9:5062";

    fn text(first: &str, more: &str) -> Vec<u8> {
        format!(
            "{first}\r\nv: SIP/2.0/UDP pbx.test:5062 ;rport;branch=z9hG4bK7, SIP/2.0/UDP b\r\n\
             Via: SIP/2.0/UDP c;branch=x\r\nCall-ID: one\r\nCSeq: 7 INVITE\r\n{more}\r\n\r\nTo: x"
        )
        .into_bytes()
    }

    /// Messages of a dialog have its tag whoever asks and answers, and those of its first
    /// transaction that transaction; what stands in URIs, in bodies, or in fields further down
    /// counts for nothing.
    #[test]
    fn names_are_read() {
        let namer = Namer::default();
        let peer: SocketAddr = PEER.parse().unwrap();
        let name = |incoming, bytes: &[u8]| namer.name(incoming, bytes, peer);
        let from = "f: \"a;tag=no\" <sip:a@b;tag=no>;x=1; Tag = theirs";
        let invite = name(true, &text("INVITE sip:a@b SIP/2.0", &format!("{from}\r\nTo: <sip:b>")));
        assert_eq!((invite.tag, invite.challenges), (None, false));
        let ringing = text("SIP/2.0 180 Ringing", &format!("{from}\r\nTo: <sip:b>;tag=ours"));
        let ringing = name(false, &ringing);
        assert_eq!(ringing.tag, Some(namer.tag("ours")));
        assert_eq!((ringing.transaction, ringing.caller), (invite.transaction, invite.caller));
        let challenge = text("SIP/2.0 401 Unauthorized", &format!("{from}\r\nTo: <sip:b>;tag=o"));
        assert!(name(false, &challenge).challenges);

        let ours = "From: <sip:b>;tag=ours\r\nTo: sip:a@b;tag=theirs";
        for (incoming, first) in [(false, "BYE sip:a@b SIP/2.0"), (true, "sip/2.0 200 OK")] {
            let bye = name(incoming, &text(first, ours));
            assert_eq!(bye, Name { tag: ringing.tag, ..Name::default() }, "{first}");
        }
        let other = text("INVITE sip:a@b SIP/2.0", &from.replace("theirs", "others"));
        assert_ne!(name(true, &other).transaction, invite.transaction);
        assert!(!name(true, b"").is_some() && !name(false, b"\r\n\r\nTo: a;tag=b").is_some());
    }
}
