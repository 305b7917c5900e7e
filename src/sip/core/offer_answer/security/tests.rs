use super::SrtpPolicy::{Off, Optional, Required};
use super::*;
use crate::sip::core::offer_answer::{accept_answer, answer, build_offer};
use crate::sip::core::sdp::{Direction, Sdp};
use media::codec::AudioFormat;

/// A side whose keys are all of one byte.
fn local(policy: SrtpPolicy, offers: bool, suites: &[Suite], byte: u8) -> LocalMedia {
    let srtp = LocalSrtp::new(policy, offers, suites, |bytes| {
        bytes.fill(byte);
        Ok::<(), ()>(())
    });
    LocalMedia {
        address: "198.51.100.7".parse().unwrap(),
        port: 20_000,
        codecs: vec![AudioFormat::PCMU, AudioFormat::PCMA],
        telephone_event: true,
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        xr: false,
        srtp: srtp.unwrap(),
        session_id: 7,
        session_version: 1,
    }
}

fn sdp(lines: &str) -> Sdp {
    let text =
        format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\n{lines}");
    Sdp::parse(text.replace('|', "\r\n").as_bytes()).unwrap()
}

/// A line with a key of zeros.
fn line(tag: u32, suite: Suite) -> String {
    let key = MasterKey::new(suite, &[0; 46][..MasterKey::bytes(suite)]).unwrap();
    let mut out = String::new();
    crypto::write(&mut out, tag, &key);
    out
}

/// Which offers are accepted under which policy, and whether what follows is encrypted.
#[test]
fn policies_table() {
    use NegotiationError::Encryption;
    let crypto = line(3, Suite::AesCm128Sha1Tag80);
    let refused = line(4, Suite::AesCm128Sha1Tag80).replace("\r\n", " UNENCRYPTED_SRTP\r\n");
    for (profile, crypto, policy, expected) in [
        ("RTP/AVP", "", Off, Ok(false)),
        ("RTP/AVP", "", Optional, Ok(false)),
        ("RTP/AVP", "", Required, Err(Encryption)),
        ("RTP/AVPF", "", Optional, Ok(false)),
        ("RTP/SAVP", &*crypto, Off, Err(Encryption)),
        ("RTP/SAVP", &*crypto, Optional, Ok(true)),
        ("RTP/SAVP", &*crypto, Required, Ok(true)),
        ("RTP/SAVPF", &*crypto, Required, Ok(true)),
        ("RTP/SAVP", "", Optional, Err(Encryption)),
        ("RTP/SAVP", &*refused, Optional, Err(Encryption)),
        // As phones write it that would rather but need not encrypt.
        ("RTP/AVP", &*crypto, Off, Ok(false)),
        ("RTP/AVP", &*crypto, Optional, Ok(true)),
        ("RTP/AVP", &*crypto, Required, Ok(true)),
        ("RTP/AVP", &*refused, Optional, Ok(false)),
        ("UDP/TLS/RTP/SAVPF", "", Optional, Err(NegotiationError::NoAudio)),
    ] {
        let offer = sdp(&format!("m=audio 4000 {profile} 0\r\n{crypto}"));
        let answered = answer(&offer, &local(policy, false, &Suite::ALL, 9));
        let secure = answered.as_ref().map(|answered| answered.selected.srtp.is_some());
        assert_eq!(secure.map_err(|error| *error), expected, "{profile} {crypto} {policy:?}");
        let Ok(answered) = answered else { continue };
        let text = String::from_utf8(answered.sdp).unwrap();
        assert!(text.contains(&format!("m=audio 20000 {profile} 0\r\n")), "{text}");
        let tagged = text.contains("a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:CQkJ");
        assert_eq!(tagged, expected == Ok(true), "{text}");
    }
}

/// The first of the offerer's lines whose suite may be used is answered, under its own number.
#[test]
fn the_offerer_prefers() {
    let lines: String =
        [(7, Suite::AesCm128Sha1Tag32), (2, Suite::AesCm128Sha1Tag80), (1, Suite::AesGcm256)]
            .map(|(tag, suite)| line(tag, suite))
            .concat();
    let offer = sdp(&format!("m=audio 4000 RTP/SAVP 0\r\na=crypto:9 X inline:y\r\n{lines}"));
    for (suites, tag) in [
        (&Suite::ALL[..], 7),
        (&[Suite::AesGcm256, Suite::AesCm128Sha1Tag80], 2),
        (&[Suite::AesGcm256], 1),
    ] {
        let answered = answer(&offer, &local(Optional, false, suites, 9)).unwrap();
        let text = String::from_utf8(answered.sdp).unwrap();
        assert!(
            text.contains(&format!("a=crypto:{tag} ")) && text.matches("a=crypto").count() == 1
        );
        let keys = answered.selected.srtp.unwrap();
        assert_eq!(keys.ours.suite(), keys.theirs.suite());
        assert!(keys.ours.expose().iter().all(|byte| *byte == 9));
        assert!(keys.theirs.expose().iter().all(|byte| *byte == 0));
    }
}

/// Of a plain and an encrypted stream the first that the policy allows is taken.
#[test]
fn alternatives_are_chosen_by_policy() {
    let crypto = line(1, Suite::AesCm128Sha1Tag80);
    let both = format!("m=audio 4000 RTP/SAVP 0\r\n{crypto}m=audio 4002 RTP/AVP 0\r\n");
    let turned = format!("m=audio 4000 RTP/AVP 0\r\nm=audio 4002 RTP/SAVP 0\r\n{crypto}");
    for (lines, policy, port) in [
        (&both, Optional, 4000),
        (&both, Off, 4002),
        (&both, Required, 4000),
        (&turned, Optional, 4000),
        (&turned, Required, 4002),
    ] {
        let answered = answer(&sdp(lines), &local(policy, false, &Suite::ALL, 1)).unwrap();
        assert_eq!(answered.selected.remote.port(), port);
        assert!(String::from_utf8(answered.sdp).unwrap().contains(" 0 RTP/"));
    }
}

/// What one side offers the other answers, and each then has the other's key for its own.
#[test]
fn both_sides_agree() {
    for suites in [&Suite::ALL[..], &[Suite::AesCm128Sha1Tag32]] {
        let ours = local(Required, true, &Suite::ALL, 1);
        let theirs = local(Optional, false, suites, 2);
        let offer = build_offer(&ours);
        let text = String::from_utf8_lossy(&offer);
        assert!(text.contains(" RTP/SAVP ") && text.matches("a=crypto:").count() == 6, "{text}");
        let answered = answer(&Sdp::parse(&offer).unwrap(), &theirs).unwrap();
        let accepted = accept_answer(&ours, &Sdp::parse(&answered.sdp).unwrap()).unwrap();
        let (a, b) = (accepted.srtp.unwrap(), answered.selected.srtp.unwrap());
        assert_eq!((&a.ours, &a.theirs), (&b.theirs, &b.ours));
        assert_ne!(a.ours, a.theirs);
    }
}

/// A description of ours that answered an offer, and is offered again for a refresh, is answered
/// under the number that the peer once gave its key; a new key of the peer counts, ours stays.
#[test]
fn a_refresh_may_bring_another_key() {
    use crate::sip::core::offer_answer::accept_answer_to;
    let suite = Suite::AesCm128Sha1Tag80;
    for profile in ["RTP/SAVP", "RTP/AVP"] {
        let side = local(Optional, false, &Suite::ALL, 9);
        let offer = sdp(&format!("m=audio 4000 {profile} 0\r\n{}", line(7, suite)));
        let ours = Sdp::parse(&answer(&offer, &side).unwrap().sdp).unwrap();
        let fresh = MasterKey::new(suite, &[5; 30]).unwrap();
        let mut renewed = String::new();
        crypto::write(&mut renewed, 7, &fresh);
        let read = |profile: &str, lines: &str| {
            let theirs = sdp(&format!("m=audio 4000 {profile} 0\r\n{lines}"));
            accept_answer_to(&ours, &side, &theirs).map(|settled| settled.srtp)
        };
        let keys = read(profile, &renewed).unwrap().unwrap();
        assert!(keys.ours.expose().iter().all(|byte| *byte == 9));
        assert_eq!(keys.theirs, fresh);
        let other = if profile == "RTP/AVP" { "RTP/SAVP" } else { "RTP/AVP" };
        for (profile, lines) in [
            (other, renewed.clone()),
            (profile, line(1, suite)),
            (profile, line(7, Suite::AesGcm256)),
            (profile, String::new()),
        ] {
            assert_eq!(read(profile, &lines), Err(NegotiationError::Encryption), "{lines}");
        }
    }
}

/// Answers that do not keep to our offer are refused: another number or suite, no key, no
/// encryption, or encryption that was not offered.
#[test]
fn answers_keep_to_the_offer() {
    let suites = [Suite::AesGcm128, Suite::AesCm128Sha1Tag80];
    let good = line(2, Suite::AesCm128Sha1Tag80);
    for (offers, profile, crypto, accepted) in [
        (true, "RTP/SAVP", good.clone(), true),
        (true, "RTP/SAVP", line(1, Suite::AesCm128Sha1Tag80), false),
        (true, "RTP/SAVP", line(3, Suite::AesCm128Sha1Tag80), false),
        (true, "RTP/SAVP", line(0, Suite::AesCm128Sha1Tag80), false),
        (true, "RTP/SAVP", String::new(), false),
        (true, "RTP/AVP", String::new(), false),
        (true, "RTP/AVP", good.clone(), false),
        (false, "RTP/SAVP", good, false),
        (false, "RTP/AVP", String::new(), true),
    ] {
        let answer = sdp(&format!("m=audio 4000 {profile} 0\r\n{crypto}"));
        let read = accept_answer(&local(Optional, offers, &suites, 1), &answer);
        assert_eq!(read.is_ok(), accepted, "{offers} {profile} {crypto}");
        assert!(read.is_ok_and(|n| n.srtp.is_some() == offers) || !accepted);
    }
}
