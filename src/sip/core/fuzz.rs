//! Bodies of the fuzz targets: they take any octets and assert what must hold for all of them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;

pub use super::endpoint::fuzz::{sdp, sip_endpoint};
use super::{
    HeaderName, Message, NameAddr, ParseError, ResponseBuilder, StreamDecoder, StreamError,
    StreamItem, Uri, Via, validate_request, validate_response,
};

/// Reads one datagram and uses everything that a message offers.
pub fn sip_message(octets: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(octets)) else { return };
    assert!(message.body().len() <= message.bytes().len());
    assert!(message.bytes().len() <= octets.len());
    assert_eq!(message.is_request(), message.status().is_none());
    for (name, value) in message.all_headers() {
        assert!(!name.is_empty());
        assert!(!name.contains(['\r', '\n', ':']) && !value.contains(['\r', '\n']));
        assert!(message.header_named(name).is_some());
        views(value);
    }
    for name in HeaderName::all() {
        assert_eq!(message.header(name), message.headers(name).next());
        for value in message.values(name) {
            views(value);
        }
    }
    let _ = (message.contact(), message.cseq(), message.call_id(), message.max_forwards());
    let _ = (message.via(), message.from(), message.to(), message.content_length());
    let _ = (validate_response(&message), message.reason(), format!("{message:?}"));
    if message.is_request() {
        answer(&message);
    }
}

/// Every typed view of a value, and what the views offer.
fn views(value: &str) {
    if let Ok(via) = Via::parse(value) {
        let _ = (via.branch(), via.rport(), via.received(), via.maddr(), via.ttl());
        assert!(!via.params.iter().any(|(name, _)| name.is_empty()));
    }
    if let Ok(address) = NameAddr::parse(value) {
        let _ = (address.display_name(), address.tag());
        assert!(address.uri.equivalent(&address.uri));
        assert!(Uri::parse(address.uri.as_str()).is_ok());
        let _ = (address.uri.user_decoded(), address.uri.header_fields().count());
    }
}

/// A response to any request is a message with the request's identity, and a request that passes
/// validation yields one that passes too.
fn answer(request: &Message) {
    let refusal = validate_request(request).err();
    let status = refusal.as_ref().map_or(200, |refusal| refusal.status);
    let source = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5060);
    let response = ResponseBuilder::new(request, status, "Reason").source(source).to_tag("tag");
    let Ok(octets) = response.try_build() else { return };
    let response = match Message::parse(octets) {
        // A Via just below the limit grows beyond it.
        Err(ParseError::LineTooLong) => return,
        Err(error) => {
            assert!(refusal.is_some(), "the response to a valid request cannot be read: {error}");
            return;
        }
        Ok(response) => response,
    };
    assert_eq!(response.status(), Some(status));
    assert_eq!(response.fault(), None);
    let vias = |message: &Message| message.headers(HeaderName::Via).count();
    assert_eq!(vias(request), vias(&response));
    for name in [HeaderName::From, HeaderName::CallId, HeaderName::CSeq] {
        assert_eq!(request.header(name), response.header(name));
    }
    if refusal.is_none() {
        assert_eq!(validate_response(&response), Ok(()));
        assert!(response.to().is_ok_and(|to| to.tag().is_some()));
    }
}

/// Reads a stream twice, whole and in pieces whose size the first octet chooses: both must give
/// the same items and the same end.
pub fn sip_stream(octets: &[u8]) {
    let Some((&size, stream)) = octets.split_first() else { return };
    let whole = decode(stream.chunks(stream.len().max(1)));
    let pieces = decode(stream.chunks(usize::from(size).max(1)));
    assert_eq!(whole.1, pieces.1);
    assert_eq!(whole.0.len(), pieces.0.len());
    for (one, two) in whole.0.iter().zip(&pieces.0) {
        match (one, two) {
            (StreamItem::Message(one), StreamItem::Message(two)) => {
                assert_eq!(one.bytes(), two.bytes());
                assert_eq!(one.content_length(), Some(one.body().len()));
            }
            (StreamItem::Malformed(one), StreamItem::Malformed(two)) => assert_eq!(one, two),
            (StreamItem::Ping, StreamItem::Ping) | (StreamItem::Pong, StreamItem::Pong) => {}
            _ => assert_eq!(format!("{one:?}"), format!("{two:?}")),
        }
    }
}

fn decode<'a>(
    pieces: impl Iterator<Item = &'a [u8]>,
) -> (Vec<StreamItem>, Result<(), StreamError>) {
    let mut decoder = StreamDecoder::new();
    let mut items = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Err(error)),
            }
        }
    }
    (items, Ok(()))
}
