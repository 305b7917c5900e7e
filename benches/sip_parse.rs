//! Reading, checking and answering SIP messages: what each of the seven messages of a call costs.

#![allow(missing_docs, reason = "criterion's macros declare public items")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use talkpath::sip::core::{Message, ResponseBuilder, StreamDecoder, validate_request};

/// An INVITE as a carrier's session border controller sends it.
const INVITE: &str = "INVITE sip:+15550100@192.0.2.9:5060;user=phone SIP/2.0\r\n\
    Record-Route: <sip:198.51.100.10;lr;ftag=gK0c2f>\r\n\
    Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKcydzigwkX;rport\r\n\
    Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bK0cBf11fb3d3;received=203.0.113.7\r\n\
    From: \"ANONYMOUS CALLER\" <sip:+15550199@203.0.113.7;isup-oli=00>;tag=gK0c2f\r\n\
    To: <sip:+15550100@198.51.100.10>\r\n\
    Call-ID: 1175571233_47110815@203.0.113.7\r\n\
    CSeq: 13729 INVITE\r\n\
    Max-Forwards: 66\r\n\
    Allow: INVITE,ACK,CANCEL,BYE,REGISTER,REFER,INFO,SUBSCRIBE,NOTIFY,PRACK,UPDATE,OPTIONS\r\n\
    Accept: application/sdp, application/isup, application/dtmf, multipart/mixed\r\n\
    Contact: <sip:+15550199@203.0.113.7:5060>\r\n\
    P-Asserted-Identity: <sip:+15550199@203.0.113.7:5060>\r\n\
    Supported: timer,100rel,precondition,replaces\r\n\
    Session-Expires: 1800;refresher=uac\r\n\
    Min-SE: 90\r\n\
    Content-Disposition: session; handling=required\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 241\r\n\
    \r\n\
    v=0\r\n\
    o=Sonus_UAC 27098 11023 IN IP4 203.0.113.7\r\n\
    s=SIP Media Capabilities\r\n\
    c=IN IP4 203.0.113.8\r\n\
    t=0 0\r\n\
    m=audio 31790 RTP/AVP 0 8 101\r\n\
    a=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\n\
    a=sendrecv\r\n\
    a=maxptime:20\r\n";

/// The shortest message of a call.
const ACK: &str = "ACK sip:+15550100@192.0.2.9:5060 SIP/2.0\r\n\
    Via: SIP/2.0/UDP 198.51.100.10:5060;branch=z9hG4bKcydzigwkY;rport\r\n\
    From: <sip:+15550199@203.0.113.7>;tag=gK0c2f\r\n\
    To: <sip:+15550100@198.51.100.10>;tag=as7d1\r\n\
    Call-ID: 1175571233_47110815@203.0.113.7\r\n\
    CSeq: 13729 ACK\r\n\
    Max-Forwards: 66\r\n\
    Content-Length: 0\r\n\
    \r\n";

fn read(criterion: &mut Criterion) {
    for (name, text) in [("invite", INVITE), ("ack", ACK)] {
        let octets = Bytes::from_static(text.as_bytes());
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(octets.len() as u64));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| Message::parse(black_box(octets.clone())));
        });
        let Ok(message) = Message::parse(octets.clone()) else { continue };
        assert!(validate_request(&message).is_ok(), "the bench measures a good message");
        group.bench_function("validate", |bencher| {
            bencher.iter(|| validate_request(black_box(&message)));
        });
        group.bench_function("respond", |bencher| {
            bencher.iter(|| {
                ResponseBuilder::new(black_box(&message), 200, "OK")
                    .to_tag("8f3b2c1d")
                    .record_route(&message)
                    .header("Contact", "<sip:192.0.2.9:5060>")
                    .body("application/sdp", &[b'x'; 200])
                    .build()
            });
        });
        group.bench_function("stream", |bencher| {
            let mut decoder = StreamDecoder::new();
            bencher.iter(|| {
                decoder.push(black_box(&octets));
                decoder.next()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, read);
criterion_main!(benches);
