use super::*;

const PHONE: &str = "v=0\r\no=alice 2890844526 2890844527 IN IP4 host.example.com\r\ns=-\r\n\
    c=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 49170 RTP/AVP 0 8 97 101\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:97 iLBC/8000/1\r\na=fmtp:97 mode=20\r\na=rtpmap:101 telephone-event/8000\r\n\
    a=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:150\r\na=sendonly\r\n\
    a=rtcp:53020 IN IP6 2001:db8::4\r\na=rtcp-mux\r\nm=video 51372/2 RTP/AVP 31 32\r\n\
    c=IN IP6 2001:db8::1\r\na=rtpmap:31 H261/90000\r\n";

/// Every field that is kept is read from a description with all of them.
#[test]
fn reads_all_fields() {
    let sdp = Sdp::parse(PHONE.as_bytes()).unwrap();
    assert_eq!((&*sdp.origin.username, &*sdp.origin.version), ("alice", "2890844527"));
    assert_eq!(sdp.origin.session_id.as_ref(), "2890844526");
    assert_eq!(sdp.connection.as_ref().and_then(Address::ip), "192.0.2.1".parse().ok());
    let [audio, video] = sdp.media.as_slice() else { panic!("two streams") };
    assert_eq!((&*audio.kind, audio.port, &*audio.protocol), ("audio", 49170, "RTP/AVP"));
    assert_eq!(audio.payload_types().collect::<Vec<_>>(), [0, 8, 97, 101]);
    let ilbc = audio.rtpmap(97).unwrap();
    assert_eq!((&*ilbc.encoding, ilbc.clock_hz, ilbc.channels), ("iLBC", 8000, 1));
    assert_eq!(audio.fmtp(97), Some("mode=20"));
    assert_eq!(audio.fmtp(0), None);
    assert_eq!((audio.ptime_ms, audio.maxptime_ms), (Some(20), Some(150)));
    assert_eq!(sdp.direction_of(audio), Direction::SendOnly);
    let rtcp_ip = "2001:db8::4".parse().unwrap();
    assert_eq!(audio.rtcp, Some((53020, Some(Address::Ip(rtcp_ip)))));
    assert!(audio.rtcp_mux && audio.is_rtp_audio());
    assert_eq!((video.port, video.rtcp_mux, video.is_rtp_audio()), (51372, false, false));
    assert_eq!(sdp.direction_of(video), Direction::SendRecv);
    assert_eq!(sdp.address_of(video).and_then(Address::ip), "2001:db8::1".parse().ok());
    assert_eq!(sdp.address_of(audio).and_then(Address::ip), "192.0.2.1".parse().ok());
}

/// What phones really send although RFC 8866 does not allow it.
#[test]
fn accepts_what_occurs_in_the_field() {
    for text in [
        "v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 1.2.3.4\nm=audio 4000 RTP/AVP 0",
        "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=\r\nt=0 0\r\nc=IN IP4 1.2.3.4\r\n\
         m=audio 4000 RTP/AVP 0 \r\n\r\n",
        "v=0\r\no=- a b\r\ns=caf\u{e9}\r\nc=in ip4 1.2.3.4/127\r\nm=audio 4000 rtp/avp 0\r\n\0",
        "v=0\ro=- 1 1 IN IP4 1.2.3.4\rc=IN IP4 1.2.3.4\rm=audio 4000 RTP/AVP 0\r",
        "v=0\r\no=- 1 1 IN IP4 x\r\nc=IN IP6 1.2.3.4\r\na=X\r\na=:\r\nk=x\r\n\
         m=audio 4000 RTP/AVP 0\r\na=ptime:20.0\r\n\
         a=rtpmap:x\r\na=rtpmap:300 A/1\r\n",
    ] {
        let sdp = Sdp::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text:?}"));
        let [audio] = sdp.media.as_slice() else { panic!("{text:?}") };
        assert!(audio.is_rtp_audio(), "{text:?}");
        assert_eq!(sdp.address_of(audio).and_then(Address::ip), "1.2.3.4".parse().ok());
        assert_eq!(audio.payload_types().collect::<Vec<_>>(), [0]);
        assert!(audio.rtpmaps.is_empty());
    }
    let latin1 = b"v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=caf\xe9\r\nt=0 0\r\n";
    assert_eq!(Sdp::parse(latin1).unwrap().media, []);
}

/// Each refusal, by its fault.
#[test]
fn refuses_what_is_ambiguous() {
    let body = |rest: &str| format!("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n{rest}");
    for (text, error) in [
        (String::new(), SdpError::Version),
        ("o=- 1 1 IN IP4 1.2.3.4\r\n".into(), SdpError::Version),
        ("v=1\r\n".into(), SdpError::Version),
        ("v=0\r\n".into(), SdpError::Origin),
        ("v=0\r\no=- 1\r\n".into(), SdpError::Origin),
        (body("nonsense\r\n"), SdpError::Line),
        (body("xx=1\r\n"), SdpError::Line),
        (body("c=IN IP4\r\n"), SdpError::Connection),
        (body("c=IN IP9 1.2.3.4\r\n"), SdpError::Connection),
        (body("c=ATM IP4 1.2.3.4\r\n"), SdpError::Connection),
        (body("c=IN IP4 a_b\r\n"), SdpError::Connection),
        (body("m=audio 70000 RTP/AVP 0\r\n"), SdpError::Media),
        (body("m=audio x RTP/AVP 0\r\n"), SdpError::Media),
        (body("m=audio 1\r\n"), SdpError::Media),
        (body("m=audio 4000 RTP/AVP 0\r\n"), SdpError::NoAddress),
        (body(&"m=audio 0 RTP/AVP 0\r\n".repeat(17)), SdpError::TooManyMedia),
        (body(&"a=x\r\n".repeat(4000)), SdpError::TooLong),
    ] {
        assert_eq!(Sdp::parse(text.as_bytes()), Err(error), "{:.60}", text);
    }
}

/// A truncated description is read or refused, never a panic; a prefix never shows more streams.
#[test]
fn every_truncation_is_survived() {
    let whole = Sdp::parse(PHONE.as_bytes()).unwrap();
    for length in 0..PHONE.len() {
        if let Ok(part) = Sdp::parse(&PHONE.as_bytes()[..length]) {
            assert!(part.media.len() <= whole.media.len());
            assert_eq!(part.origin.username, whole.origin.username);
        }
    }
}

/// Directions form what their two flags say.
#[test]
fn direction_algebra() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    for d in [SendRecv, SendOnly, RecvOnly, Inactive] {
        assert_eq!(d.reversed().reversed(), d);
        assert_eq!(d.and(SendRecv), d);
        assert_eq!(d.and(Inactive), Inactive);
        assert_eq!(Direction::new(d.sends(), d.receives()), d);
        assert_eq!(Direction::parse(d.as_str()), Some(d));
    }
    assert_eq!(SendOnly.reversed(), RecvOnly);
    assert_eq!(SendOnly.and(RecvOnly), Inactive);
}

proptest::proptest! {
    /// Random bytes never panic.
    #[test]
    fn random_bytes(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = Sdp::parse(&bytes);
    }

    /// Valid descriptions with any byte replaced never panic.
    #[test]
    fn damaged_description(at in 0..PHONE.len(), with in proptest::num::u8::ANY) {
        let mut bytes = PHONE.as_bytes().to_vec();
        bytes[at] = with;
        let _ = Sdp::parse(&bytes);
    }
}

/// Extended reports: what the session takes holds for streams that say nothing (RFC 3611 5.1).
#[test]
fn extended_reports_of_session_and_stream() {
    let takes = |session: &str, stream: &str| {
        let text = format!(
            "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{session}\
             m=audio 4000 RTP/AVP 0\r\n{stream}m=audio 4002 RTP/AVP 0\r\n"
        );
        let sdp = Sdp::parse(text.as_bytes()).unwrap();
        (sdp.media[0].voip_metrics, sdp.media[1].voip_metrics)
    };
    let (metrics, loss) = ("a=rtcp-xr:voip-metrics\r\n", "a=rtcp-xr:pkt-loss-rle\r\n");
    assert_eq!(takes("", ""), (false, false));
    assert_eq!(takes(metrics, ""), (true, true));
    assert_eq!(takes("", metrics), (true, false));
    assert_eq!(takes(metrics, loss), (false, true));
    assert_eq!(takes(metrics, &format!("{loss}{metrics}")), (true, true));
    assert_eq!(takes("", &format!("{metrics}{loss}")), (true, false));
    assert_eq!(
        takes("a=rtcp-xr:pkt-loss-rle voip-metrics=x\r\na=rtcp-xr:rcvr-rtt voip-metrics\r\n", ""),
        (true, true)
    );
}
