use super::*;
use crate::sip::core::sdp::{Media, Sdp};

fn local() -> LocalMedia {
    LocalMedia {
        address: "198.51.100.7".parse().unwrap(),
        port: 20_000,
        codecs: vec![AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(16_000)],
        telephone_event: true,
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        xr: false,
        srtp: LocalSrtp::default(),
        session_id: 7,
        session_version: 1,
    }
}

fn sdp(lines: &str) -> Sdp {
    let text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n{lines}");
    Sdp::parse(text.replace('|', "\r\n").as_bytes()).unwrap()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What an offer selects: codec, payload types, digits, packet time, direction.
#[test]
fn selection_table() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    const C: &str = "c=IN IP4 192.0.2.1|";
    let (pcmu, pcma, l16) = (AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(16_000));
    for (lines, codec, pt, dtmf, ptime, direction) in [
        ("m=audio 4000 RTP/AVP 0 8|", pcmu, 0, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 8 0|", pcma, 8, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 18 96 3 8|a=rtpmap:96 opus/48000/2|", pcma, 8, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 96|a=rtpmap:96 pcmu/8000|", pcmu, 96, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 98|a=rtpmap:98 L16/16000/1|", l16, 98, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 98 0|a=rtpmap:98 L16/16000/2|", pcmu, 0, None, 20, SendRecv),
        (
            "m=audio 4000 RTP/AVP 0 96|a=rtpmap:96 Telephone-Event/8000|",
            pcmu,
            0,
            Some(96),
            20,
            SendRecv,
        ),
        (
            "m=audio 4000 RTP/AVP 98 101|a=rtpmap:98 L16/16000|a=rtpmap:101 telephone-event/8000|",
            l16,
            98,
            None,
            20,
            SendRecv,
        ),
        ("m=audio 4000 RTP/AVP 0|a=rtpmap:96 telephone-event/8000|", pcmu, 0, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 0|a=ptime:30|", pcmu, 0, None, 30, SendRecv),
        ("m=audio 4000 RTP/AVP 0|a=ptime:200|", pcmu, 0, None, 60, SendRecv),
        ("m=audio 4000 RTP/AVP 0|a=ptime:5|", pcmu, 0, None, 10, SendRecv),
        ("m=audio 4000 RTP/AVP 0|a=ptime:40|a=maxptime:25|", pcmu, 0, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVP 0|a=sendonly|", pcmu, 0, None, 20, RecvOnly),
        ("m=audio 4000 RTP/AVP 0|a=recvonly|", pcmu, 0, None, 20, SendOnly),
        ("m=audio 4000 RTP/AVP 0|a=inactive|", pcmu, 0, None, 20, Inactive),
        ("a=sendonly|m=audio 4000 RTP/AVP 0|", pcmu, 0, None, 20, RecvOnly),
        ("a=sendonly|m=audio 4000 RTP/AVP 0|a=sendrecv|", pcmu, 0, None, 20, SendRecv),
        ("m=audio 4000 RTP/AVPF 0|", pcmu, 0, None, 20, SendRecv),
    ] {
        let offer = sdp(&format!("{C}{lines}"));
        let got = answer(&offer, &local()).unwrap_or_else(|e| panic!("{e}: {lines}"));
        let selected = got.selected;
        assert_eq!((selected.codec, selected.pt, selected.receive_pt), (codec, pt, pt), "{lines}");
        assert_eq!((selected.dtmf_pt, selected.receive_dtmf_pt), (dtmf, dtmf), "{lines}");
        assert_eq!((selected.ptime_ms, selected.direction), (ptime, direction), "{lines}");
        let written = Sdp::parse(&got.sdp).unwrap();
        let media = &written.media[0];
        let payloads: Vec<u8> = [pt].into_iter().chain(dtmf).collect();
        assert_eq!(media.payload_types().collect::<Vec<_>>(), payloads, "{lines}");
        assert_eq!(written.direction_of(media), direction, "{lines}");
        assert_eq!(media.protocol, offer.media[0].protocol);
        assert_eq!((media.ptime_ms, media.port), (Some(ptime), 20_000));
    }
}

/// Where media goes, for every place an address may stand.
#[test]
fn address_table() {
    for (lines, remote, rtcp, mux) in [
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|", "192.0.2.1:4000", "192.0.2.1:4001", false),
        (
            "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 192.0.2.2|",
            "192.0.2.2:4000",
            "192.0.2.2:4001",
            false,
        ),
        (
            "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|a=rtcp-mux|",
            "192.0.2.1:4000",
            "192.0.2.1:4000",
            true,
        ),
        (
            "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|a=rtcp:5000|",
            "192.0.2.1:4000",
            "192.0.2.1:5000",
            false,
        ),
        (
            "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|a=rtcp:5000 IN IP4 192.0.2.3|",
            "192.0.2.1:4000",
            "192.0.2.3:5000",
            false,
        ),
        (
            "m=audio 65535 RTP/AVP 0|c=IN IP4 192.0.2.1|",
            "192.0.2.1:65535",
            "192.0.2.1:65535",
            false,
        ),
        (
            "c=IN IP4 phone.example.com|m=audio 4000 RTP/AVP 0|",
            "0.0.0.0:4000",
            "0.0.0.0:4001",
            false,
        ),
    ] {
        let selected = answer(&sdp(lines), &local()).unwrap().selected;
        assert_eq!((selected.remote, selected.remote_rtcp), (addr(remote), addr(rtcp)), "{lines}");
        assert_eq!(selected.rtcp_mux, mux, "{lines}");
        assert_eq!(selected.direction, Direction::SendRecv, "{lines}");
    }
    let six = LocalMedia { address: "2001:db8::7".parse().unwrap(), ..local() };
    let got = answer(&sdp("c=IN IP6 2001:db8::1|m=audio 4000 RTP/AVP 0|"), &six).unwrap();
    assert_eq!(got.selected.remote, addr("[2001:db8::1]:4000"));
    assert!(String::from_utf8(got.sdp).unwrap().contains("c=IN IP6 2001:db8::7\r\n"));
}

/// Comfort noise that is offered at 8 kHz is answered under its static payload type; it is neither
/// offered by us nor taken at another clock, and never for audio.
#[test]
fn comfort_noise_is_answered() {
    const C: &str = "c=IN IP4 192.0.2.1|";
    for (lines, cn) in [
        ("m=audio 4000 RTP/AVP 0 13|", Some(13)),
        ("m=audio 4000 RTP/AVP 0 13 101|a=rtpmap:13 CN/8000|", Some(13)),
        ("m=audio 4000 RTP/AVP 0 13|a=rtpmap:13 other/8000|", None),
        ("m=audio 4000 RTP/AVP 98 13|a=rtpmap:98 L16/16000|", None),
        ("m=audio 4000 RTP/AVP 13 0|a=rtpmap:13 PCMA/8000|", None),
        ("m=audio 4000 RTP/AVP 0|", None),
    ] {
        let got = answer(&sdp(&format!("{C}{lines}")), &local()).unwrap();
        assert_eq!(got.selected.cn_pt, cn, "{lines}");
        let written = Sdp::parse(&got.sdp).unwrap();
        let answered = written.media[0].payload_types().skip(1).any(|pt| pt == 13);
        assert_eq!(answered, cn.is_some(), "{lines}");
    }
    let offer = Sdp::parse(&build_offer(&local())).unwrap();
    assert!(offer.media[0].payload_types().all(|pt| pt != 13));
}

/// `c=0.0.0.0` is hold as RFC 2543 knew it: we must not send, whatever the attributes say.
#[test]
fn null_address_is_hold() {
    for (attribute, direction) in [
        ("", Direction::RecvOnly),
        ("a=sendonly|", Direction::RecvOnly),
        ("a=inactive|", Direction::Inactive),
    ] {
        let offer = sdp(&format!("c=IN IP4 0.0.0.0|m=audio 4000 RTP/AVP 0|{attribute}"));
        let selected = answer(&offer, &local()).unwrap().selected;
        assert!(selected.remote.ip().is_unspecified());
        assert_eq!(selected.direction, direction);
    }
}

/// Every stream is answered in its place, and only the first usable audio is accepted.
#[test]
fn several_streams_are_answered_in_order() {
    let offer = sdp(
        "c=IN IP4 192.0.2.1|m=video 3000 RTP/AVP 31 32|m=audio 0 RTP/AVP 0|m=audio 3500 RTP/SAVP 0|\
         m=audio 3700 RTP/AVP 18|m=audio 4000 RTP/AVP 8|m=audio 5000 RTP/AVP 0|\
         m=application 6000 UDP/TLS/SCTP webrtc-datachannel|m=image 7000 udptl t38|",
    );
    let got = answer(&offer, &local()).unwrap();
    assert_eq!(got.selected.remote, addr("192.0.2.1:4000"));
    let written = Sdp::parse(&got.sdp).unwrap();
    let shape: Vec<(&str, u16)> = written.media.iter().map(|m| (&*m.kind, m.port)).collect();
    assert_eq!(
        shape,
        [
            ("video", 0),
            ("audio", 0),
            ("audio", 0),
            ("audio", 0),
            ("audio", 20_000),
            ("audio", 0),
            ("application", 0),
            ("image", 0),
        ]
    );
    let formats = |m: &Media| m.formats.clone();
    assert_eq!(
        written.media.iter().map(|m| &m.protocol).collect::<Vec<_>>(),
        offer.media.iter().map(|m| &m.protocol).collect::<Vec<_>>()
    );
    assert_eq!(formats(&written.media[0]), formats(&offer.media[0]));
}

/// What cannot be accepted, by its fault.
#[test]
fn refusal_table() {
    use NegotiationError::{AddressFamily, Encryption, NoAudio, NoCommonCodec};
    for (lines, error) in [
        ("", NoAudio),
        ("c=IN IP4 192.0.2.1|m=audio 0 RTP/AVP 0|", NoAudio),
        ("c=IN IP4 192.0.2.1|m=video 4000 RTP/AVP 31|", NoAudio),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/SAVP 0|", Encryption),
        ("c=IN IP4 192.0.2.1|m=audio 4000 UDP/TLS/RTP/SAVP 0|", NoAudio),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP|", NoCommonCodec),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 18 9 3|", NoCommonCodec),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 96|", NoCommonCodec),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 96|a=rtpmap:96 PCMU/16000|", NoCommonCodec),
        ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|a=rtpmap:0 G723/8000|", NoCommonCodec),
        (
            "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 101|a=rtpmap:101 telephone-event/8000|",
            NoCommonCodec,
        ),
        ("c=IN IP6 2001:db8::1|m=audio 4000 RTP/AVP 0|", AddressFamily),
    ] {
        assert_eq!(answer(&sdp(lines), &local()).unwrap_err(), error, "{lines}");
        assert_eq!(accept_answer(&local(), &sdp(lines)).unwrap_err(), error, "{lines}");
    }
}

/// An offer, read and answered by the other side, settles the same codec on both.
#[test]
fn offer_and_answer_agree() {
    for (theirs, pt, dtmf) in [
        (vec![AudioFormat::PCMA], 8, Some(101)),
        (vec![AudioFormat::PCMA, AudioFormat::PCMU], 0, Some(101)),
        (vec![AudioFormat::l16be(16_000)], 102, Some(103)),
    ] {
        let peer = LocalMedia { codecs: theirs, port: 30_000, ..local() };
        let offer = build_offer(&local());
        let answered = answer(&Sdp::parse(&offer).unwrap(), &peer).unwrap();
        let ours = accept_answer(&local(), &Sdp::parse(&answered.sdp).unwrap()).unwrap();
        let theirs = answered.selected;
        assert_eq!((ours.codec, ours.pt, ours.dtmf_pt), (theirs.codec, pt, dtmf));
        assert_eq!((theirs.receive_pt, theirs.receive_dtmf_pt), (ours.pt, ours.dtmf_pt));
        assert_eq!((ours.receive_pt, ours.receive_dtmf_pt), (theirs.pt, theirs.dtmf_pt));
        assert_eq!((ours.remote.port(), theirs.remote.port()), (30_000, 20_000));
        assert!(ours.rtcp_mux && theirs.rtcp_mux);
    }
}

/// An answer may renumber dynamic payload types: we send with its, and receive with ours.
#[test]
fn answer_with_other_payload_types() {
    let answered = sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 110 111|a=rtpmap:110 L16/16000|\
         a=rtpmap:111 telephone-event/16000|");
    let got = accept_answer(&local(), &answered).unwrap();
    assert_eq!((got.pt, got.receive_pt), (110, 102));
    assert_eq!((got.dtmf_pt, got.receive_dtmf_pt), (Some(111), Some(103)));
}

/// A side without telephone-event neither offers nor answers it, and ignores it in an answer.
#[test]
fn telephone_event_can_be_off() {
    let deaf = LocalMedia { telephone_event: false, ..local() };
    assert!(!String::from_utf8(build_offer(&deaf)).unwrap().contains("telephone-event"));
    let both = "c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0 101|a=rtpmap:101 telephone-event/8000|";
    assert_eq!(answer(&sdp(both), &deaf).unwrap().selected.dtmf_pt, None);
    let got = accept_answer(&deaf, &sdp(both)).unwrap();
    assert_eq!((got.dtmf_pt, got.receive_dtmf_pt), (None, None));
}

/// Comfort noise is offered where it is passed on and there is a codec at its clock, and settled if
/// the answer has it; a side that did not offer it takes none.
#[test]
fn comfort_noise_on_request() {
    let noisy = LocalMedia { comfort_noise: true, ..local() };
    let text = String::from_utf8(build_offer(&noisy)).unwrap();
    assert!(text.contains("RTP/AVP 0 8 102 13 101 103\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:13 CN/8000\r\n"), "{text}");
    let wide = LocalMedia { codecs: vec![AudioFormat::l16be(16_000)], ..noisy.clone() };
    assert!(!String::from_utf8(build_offer(&wide)).unwrap().contains("CN/"));
    let answered = sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0 13|a=rtpmap:13 CN/8000|");
    assert_eq!(accept_answer(&noisy, &answered).unwrap().cn_pt, Some(13));
    assert_eq!(accept_answer(&local(), &answered).unwrap().cn_pt, None);
    let silent = sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|");
    assert_eq!(accept_answer(&noisy, &silent).unwrap().cn_pt, None);
}

/// The codecs of an offer that we have too, in its order, under whatever payload types.
#[test]
fn codecs_of_an_offer() {
    let offer = sdp("c=IN IP4 192.0.2.1|m=video 4000 RTP/AVP 31|m=audio 4000 RTP/AVP 18 96 101 0|\
         a=rtpmap:96 pcma/8000|a=rtpmap:101 telephone-event/8000|");
    assert_eq!(offered_codecs(&offer, &local()), [AudioFormat::PCMA, AudioFormat::PCMU]);
    assert_eq!(offered_codecs(&sdp("m=audio 0 RTP/AVP 0|"), &local()), []);
}

/// The exact bytes of an offer, so that a change of them is seen.
#[test]
fn offer_text() {
    let text = String::from_utf8(build_offer(&local())).unwrap();
    assert_eq!(
        text,
        "v=0\r\no=- 7 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
         m=audio 20000 RTP/AVP 0 8 102 101 103\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:102 L16/16000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
         a=rtpmap:103 telephone-event/16000\r\na=fmtp:103 0-15\r\na=ptime:20\r\na=sendrecv\r\n\
         a=rtcp-mux\r\n"
    );
}

/// A later offer keeps the places of the streams and holds by direction.
#[test]
fn reoffer_keeps_places() {
    let latest = sdp("c=IN IP4 192.0.2.1|m=video 0 RTP/AVP 31|m=audio 4000 RTP/AVP 0|");
    let hold = LocalMedia { direction: Direction::SendOnly, session_version: 2, ..local() };
    let offer = Sdp::parse(&build_reoffer(&hold, &latest)).unwrap();
    let shape: Vec<(&str, u16)> = offer.media.iter().map(|m| (&*m.kind, m.port)).collect();
    assert_eq!(shape, [("video", 0), ("audio", 20_000)]);
    assert_eq!(offer.direction_of(&offer.media[1]), Direction::SendOnly);
    assert_eq!(&*offer.origin.version, "2");
    let answered = answer(&offer, &LocalMedia { port: 4000, ..local() }).unwrap();
    let got = accept_answer(&hold, &Sdp::parse(&answered.sdp).unwrap()).unwrap();
    assert_eq!(got.direction, Direction::SendOnly);
    assert_eq!(answered.selected.direction, Direction::RecvOnly);
}

/// Little-endian L16 is what agents speak, not RTP: never offered.
#[test]
fn formats_without_rtp_are_skipped() {
    let media = LocalMedia {
        codecs: vec![AudioFormat::l16le(8000), AudioFormat::PCMU, AudioFormat::PCMU],
        ..local()
    };
    let offer = Sdp::parse(&build_offer(&media)).unwrap();
    assert_eq!(offer.media[0].payload_types().collect::<Vec<_>>(), [0, 101]);
}
