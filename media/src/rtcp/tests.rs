//! RTCP packets byte by byte.

use super::*;

const BLOCK: ReportBlock = ReportBlock {
    ssrc: 0x0102_0304,
    fraction_lost: 0x40,
    lost: -2,
    highest_seq: 0x0001_ffff,
    jitter: 273,
    lsr: 0x1122_3344,
    dlsr: 0x0002_4a79,
};

const INFO: SenderInfo = SenderInfo {
    ssrc: 0x902f_9e2e,
    ntp: Ntp { secs: 0xda8b_d1fc, frac: 0xdddd_a05a },
    ts: 0xaaf4_edd5,
    packets: 1,
    payload_bytes: 2,
};

/// SR, SDES and BYE, written one behind the other.
fn compound() -> Vec<u8> {
    let mut out = [0xee; 256];
    let mut len = write::sender_report(&mut out, &INFO, &[BLOCK]).unwrap();
    len += write::sdes(&mut out[len..], INFO.ssrc, "ab@c").unwrap();
    len += write::bye(&mut out[len..], &[INFO.ssrc], "end").unwrap();
    out[..len].to_vec()
}

/// Byte for byte what RFC 3550 6.4.1, 6.5 and 6.6 draw.
#[test]
fn writes_what_the_rfc_draws() {
    let want: &[&[u8]] = &[
        &[0x81, 200, 0, 12, 0x90, 0x2f, 0x9e, 0x2e],
        &[0xda, 0x8b, 0xd1, 0xfc, 0xdd, 0xdd, 0xa0, 0x5a, 0xaa, 0xf4, 0xed, 0xd5],
        &[0, 0, 0, 1, 0, 0, 0, 2],
        &[1, 2, 3, 4, 0x40, 0xff, 0xff, 0xfe, 0, 1, 0xff, 0xff, 0, 0, 1, 0x11],
        &[0x11, 0x22, 0x33, 0x44, 0, 2, 0x4a, 0x79],
        &[0x81, 202, 0, 3, 0x90, 0x2f, 0x9e, 0x2e, 1, 4, b'a', b'b', b'@', b'c', 0, 0],
        &[0x81, 203, 0, 2, 0x90, 0x2f, 0x9e, 0x2e, 3, b'e', b'n', b'd'],
    ];
    assert_eq!(compound(), want.concat());
    let mut out = [0; 64];
    assert_eq!(write::receiver_report(&mut out, 7, &[]), Ok(8));
    assert_eq!(out[..8], [0x80, 201, 0, 1, 0, 0, 0, 7]);
    assert_eq!(write::bye(&mut out, &[], ""), Ok(4));
    assert_eq!(out[..4], [0x80, 203, 0, 0]);
}

/// What was written is read back, part by part.
#[test]
fn reads_what_it_writes() {
    let bytes = compound();
    let packets: Vec<_> = Compound::parse(&bytes).unwrap().packets().collect();
    let [RtcpPacket::SenderReport(sr), RtcpPacket::Sdes(sdes), RtcpPacket::Bye(bye)] = packets[..]
    else {
        panic!("{packets:?}");
    };
    assert_eq!((sr.info, sr.reports.iter().collect::<Vec<_>>()), (INFO, vec![BLOCK]));
    let chunks: Vec<_> = sdes.chunks().collect();
    assert_eq!(chunks.len(), 1);
    assert_eq!((chunks[0].ssrc, chunks[0].cname()), (INFO.ssrc, Some(&b"ab@c"[..])));
    assert_eq!(bye.sources().collect::<Vec<_>>(), [INFO.ssrc]);
    assert_eq!(bye.reason, Some(&b"end"[..]));
}

/// A cut at each length is refused, unless it falls between two packets.
#[test]
fn refuses_every_cut() {
    let bytes = compound();
    for len in 0..bytes.len() {
        let whole = len == 52 || len == 68;
        let parsed = Compound::parse(&bytes[..len]);
        assert_eq!(parsed.is_ok(), whole, "cut at {len}");
        assert!(whole || matches!(parsed, Err(RtcpError::Truncated)), "cut at {len}");
    }
}

/// A buffer that is short by any number of bytes is refused, and never written past.
#[test]
fn refuses_short_buffers() {
    let mut out = [0; 64];
    for len in 0..52 {
        let written = write::sender_report(&mut out[..len], &INFO, &[BLOCK]);
        assert_eq!(written, Err(RtcpError::NoRoom));
    }
    (0..16).for_each(|len| {
        assert_eq!(write::sdes(&mut out[..len], 1, "ab@c"), Err(RtcpError::NoRoom));
    });
    (0..12).for_each(|len| {
        assert_eq!(write::bye(&mut out[..len], &[1], "end"), Err(RtcpError::NoRoom));
    });
}

/// More than the counts of the format can tell is refused, not cut.
#[test]
fn refuses_what_cannot_be_counted() {
    let mut out = [0; 2048];
    assert_eq!(write::receiver_report(&mut out, 1, &[BLOCK; 32]), Err(RtcpError::TooMany));
    assert!(write::receiver_report(&mut out, 1, &[BLOCK; 31]).is_ok());
    assert_eq!(write::sdes(&mut out, 1, &"x".repeat(256)), Err(RtcpError::TooMany));
    assert!(write::sdes(&mut out, 1, &"x".repeat(255)).is_ok());
    assert_eq!(write::bye(&mut out, &[1; 32], ""), Err(RtcpError::TooMany));
}

/// The signed count of lost packets keeps to 24 bits at both ends.
#[test]
fn lost_is_24_bits_with_sign() {
    let mut out = [0; 64];
    let top = (1 << 23) - 1;
    for (lost, want) in [(0, 0), (-1, -1), (top, top), (i32::MAX, top), (i32::MIN, -(1 << 23))] {
        let len = write::receiver_report(&mut out, 1, &[ReportBlock { lost, ..BLOCK }]).unwrap();
        let compound = Compound::parse(&out[..len]).unwrap();
        let Some(RtcpPacket::ReceiverReport(rr)) = compound.packets().next() else { panic!() };
        assert_eq!(rr.reports.iter().next().unwrap().lost, want);
    }
}

/// What is not a compound is told apart by the checks of RFC 3550 A.2.
#[test]
fn names_what_is_wrong() {
    let parse = |bytes: &[u8]| Compound::parse(bytes).err();
    assert_eq!(parse(&[0x81, 203, 0, 1, 0, 0, 0, 1]), Some(RtcpError::FirstIsNoReport));
    assert_eq!(parse(&[0x40, 201, 0, 1, 0, 0, 0, 1]), Some(RtcpError::Version));
    assert_eq!(parse(&[0x80, 201, 0, 0]), Some(RtcpError::Truncated));
    assert_eq!(parse(&[0x81, 201, 0, 1, 0, 0, 0, 1]), Some(RtcpError::Truncated));
    assert_eq!(parse(&[0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]), Some(RtcpError::Padding));
    assert_eq!(parse(&[0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]), Some(RtcpError::Padding));
    assert_eq!(parse(&[0xa0, 201, 0, 2, 0, 0, 0, 1, 0, 0, 0, 4]), None);
    let bad_bye = [0x80, 201, 0, 1, 0, 0, 0, 1, 0x80, 203, 0, 1, 4, b'a', b'b', b'c'];
    assert_eq!(parse(&bad_bye), Some(RtcpError::Truncated));
}

/// A description that does not fit ends where it stops fitting; the report before it holds.
#[test]
fn forgives_bad_descriptions() {
    let mut bytes = vec![0x80, 201, 0, 1, 0, 0, 0, 1];
    bytes.extend([
        0x82, 202, 0, 5, 0, 0, 0, 1, 1, 1, b'a', 0, 0, 0, 0, 2, 1, 2, b'b', b'c', 9, 9, 9, 9,
    ]);
    let compound = Compound::parse(&bytes).unwrap();
    let Some(RtcpPacket::Sdes(sdes)) = compound.packets().nth(1) else { panic!() };
    let chunks: Vec<_> = sdes.chunks().map(|chunk| (chunk.ssrc, chunk.cname())).collect();
    assert_eq!(chunks, [(1, Some(&b"a"[..]))]);
    // Without the zero that ends the items, but at the end of the packet.
    let bytes = [0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 202, 0, 2, 0, 0, 0, 1, 1, 2, b'a', b'b'];
    let Some(RtcpPacket::Sdes(sdes)) = Compound::parse(&bytes).unwrap().packets().nth(1) else {
        panic!()
    };
    assert_eq!(sdes.chunks().next().unwrap().cname(), Some(&b"ab"[..]));
}

/// The Unix epoch is 2,208,988,800 s after 1900; half a second is half of 2^32.
#[test]
fn tells_ntp_time() {
    let ntp = Ntp::from_unix(Duration::from_millis(1500));
    assert_eq!(ntp, Ntp { secs: 2_208_988_801, frac: 1 << 31 });
    assert_eq!(ntp.middle(), 0x7e81_8000);
    // Era 1 begins on 7 February 2036.
    assert_eq!(Ntp::from_unix(Duration::from_secs(2_085_978_496)).secs, 0);
}
