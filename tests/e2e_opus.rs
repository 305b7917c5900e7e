//! Calls in Opus, end to end. The phone's coder is libopus too; what is proved here is everything
//! around it, and `interop_wideband` calls with a phone that is not ours.
#![cfg(feature = "opus")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

mod support;

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use media::codec::AudioFormat;
use media::codec::opus::{Decoder, Encoder, Settings};
use serde_json::json;
use talkpath::sip::core::offer_answer::{LocalMedia, accept_answer, answer, build_offer};
use talkpath::sip::core::sdp::{Direction, Sdp};

use support::agent::Agent;
use support::ear::Rtp;
use support::joined::{self, part};
use support::phone::{self, Codec, OPUS, Phone};
use support::server::Server;
use support::wav;

const OPUS_PT: u8 = 97;
const L16_PT: u8 = 96;
const PTIME: Duration = Duration::from_millis(20);

fn sdp(lines: &str) -> Sdp {
    let text = format!("v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nt=0 0\r\n{lines}");
    Sdp::parse(text.replace('|', "\r\n").as_bytes()).unwrap()
}

/// Opus in offers and answers (RFC 7587 7): two channels in the map whatever is inside, a dynamic
/// payload type, what each side wants of the other's encoder, events at its clock, and no packets
/// of a length that it has no frames for.
#[test]
fn opus_is_offered_and_answered() {
    let local = LocalMedia {
        address: "198.51.100.7".parse().unwrap(),
        port: 20_000,
        codecs: vec![AudioFormat::OPUS, AudioFormat::PCMU],
        telephone_event: true,
        ptime_ms: 30,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        ..LocalMedia::none()
    };
    let offer = sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 111 0 110|a=rtpmap:111 opus/48000/2|\
         a=fmtp:111 maxplaybackrate=16000;useinbandfec=1;usedtx=1;maxaveragebitrate=24000|\
         a=rtpmap:110 telephone-event/48000|");
    let got = answer(&offer, &local).unwrap();
    let selected = &got.selected;
    assert_eq!(
        (selected.codec, selected.pt, selected.dtmf_pt),
        (AudioFormat::OPUS, 111, Some(110))
    );
    assert_eq!(selected.ptime_ms, 20, "there are no frames of 30 ms");
    let wants = selected.opus;
    assert_eq!((wants.max_rate_hz, wants.max_bitrate_bps), (16_000, Some(24_000)));
    assert!(wants.redundancy && wants.pauses && !wants.constant);
    let text = String::from_utf8(got.sdp).unwrap();
    assert!(text.contains("m=audio 20000 RTP/AVP 111 110\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:110 telephone-event/48000\r\n"), "{text}");

    let text = String::from_utf8(build_offer(&local)).unwrap();
    assert!(text.contains("m=audio 20000 RTP/AVP 102 0 103 101\r\n"), "{text}");
    assert!(text.contains("a=rtpmap:102 opus/48000/2\r\na=fmtp:102 useinbandfec=1\r\n"), "{text}");
    let theirs =
        sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 96|a=rtpmap:96 OPUS/48000/2|a=fmtp:96 cbr=1|");
    let settled = accept_answer(&local, &theirs).unwrap();
    assert_eq!((settled.codec, settled.pt, settled.receive_pt), (AudioFormat::OPUS, 96, 102));
    assert!(settled.opus.constant && !settled.opus.redundancy);
    // The offerer's order decides.
    let offer = sdp("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0 111|a=rtpmap:111 opus/48000/2|");
    assert_eq!(answer(&offer, &local).unwrap().selected.codec, AudioFormat::PCMU);
}

/// Packets of `ms` each.
fn coded(samples: &[i16], ms: usize, redundancy: bool) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(48_000).unwrap();
    encoder.tune(&Settings { redundancy, ..Settings::default() });
    samples
        .chunks_exact(48 * ms)
        .map(|samples| {
            let mut out = [0; 1_200];
            encoder.push(samples);
            let bytes = encoder.packet(&mut out);
            out[..bytes].to_vec()
        })
        .collect()
}

/// What packets sound like, at 48 kHz.
fn decoded<'p>(packets: impl Iterator<Item = &'p [u8]>) -> Vec<i16> {
    let (mut decoder, mut out) = (Decoder::new(48_000).unwrap(), [0; 5_760]);
    let mut samples = Vec::new();
    for packet in packets {
        let count = decoder.decode(packet, &mut out);
        samples.extend_from_slice(&out[..count]);
    }
    samples
}

fn from_le(bytes: &[u8]) -> Vec<i16> {
    bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Says packets of 20 ms at their pace, but for those that `lost` names.
fn speak(phone: &mut Phone, packets: &[Vec<u8>], lost: impl Fn(usize) -> bool) {
    let begin = Instant::now();
    for (index, packet) in packets.iter().enumerate() {
        let due = begin + PTIME * u32::try_from(index).unwrap();
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        match lost(index) {
            true => phone.skip(960),
            false => phone.send(packet, index == 0),
        }
    }
}

/// Waits until the phone hears `hz`.
#[track_caller]
fn wait_tone(phone: &Phone, hz: f64) {
    phone.wait_audio(&format!("{hz} Hz"), |_| {
        let packets = phone.packets();
        let opus = packets.iter().filter(|packet| packet.pt == OPUS.pt);
        let samples = decoded(opus.map(|packet| packet.payload.as_slice()));
        wav::has_tone(&samples, 48_000, hz).then_some(())
    });
}

/// A call of a phone that speaks `codec`, with an agent whose entry has `more`.
#[track_caller]
fn connected(codec: Codec, more: &str) -> (Server, Phone, Agent) {
    joined::connected(&["opus", "PCMU"], codec, (more, ""))
}

/// Time and numbers go on packet by packet, each as long as the one before lasts.
#[track_caller]
fn assert_one_stream(packets: &[Rtp]) {
    for pair in packets.windows(2) {
        let lasts = media::codec::opus::packet_ticks(&pair[0].payload);
        assert_eq!((pair[1].ssrc, pair[1].pt), (pair[0].ssrc, OPUS.pt));
        assert_eq!(pair[1].seq, pair[0].seq.wrapping_add(1));
        let step = pair[1].ts.wrapping_sub(pair[0].ts);
        // More only where the machine did not let the server run.
        assert!(step >= lasts && (step - lasts).is_multiple_of(960), "{step} after {lasts}");
    }
}

/// A phone that speaks Opus and an agent that takes linear audio at 16 kHz hear each other above
/// 4 kHz; the agent's frames are of its own rate, and its account is in its own samples.
#[test]
fn opus_wide_band_both_ways() {
    let format = "format = { codec = \"l16le\", rate_hz = 16000 }";
    let (server, mut phone, mut agent) = connected(OPUS, format);
    assert!(phone.answer.contains("a=rtpmap:111 opus/48000/2\r\n"), "{}", phone.answer);
    assert!(phone.answer.contains("a=fmtp:111 useinbandfec=1\r\n"), "{}", phone.answer);
    assert!(phone.answer.contains("telephone-event/48000"), "{}", phone.answer);
    speak(&mut phone, &coded(&wav::sine_at(6_000.0, 48_000, 1.2), 20, false), |_| false);
    agent.wait_frames(55);
    assert!(agent.frames.iter().all(|frame| (frame.pt, frame.payload.len()) == (L16_PT, 640)));
    for pair in agent.frames.windows(2) {
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), 320);
    }
    let bytes: Vec<u8> = agent.frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert!(wav::has_tone(&from_le(&bytes), 16_000, 6_000.0), "6 kHz do not reach the agent");

    let said: Vec<u8> =
        wav::sine_at(5_500.0, 16_000, 1.0).iter().flat_map(|sample| sample.to_le_bytes()).collect();
    agent.play(L16_PT, &said);
    agent.say(&json!({ "event": "mark", "name": "half" }));
    let mark = agent.event("mark");
    assert_eq!((&mark["status"], &mark["samples"]), (&json!("played"), &json!(16_000)), "{mark}");
    wait_tone(&phone, 5_500.0);
    assert_one_stream(&phone.packets());
    phone.press(5);
    assert_eq!(agent.event("dtmf")["digit"], "5");
    part(server, phone, agent);
}

/// If both sides speak Opus, every packet passes untouched, whatever it lasts, and media time keeps
/// up with it; marks and the account count what packets hold, and a clear drops whole packets.
#[test]
fn opus_passes_untouched() {
    let (server, mut phone, mut agent) = connected(OPUS, "");
    let format = json!({ "codec": "opus", "rate_hz": 48_000, "ptime_ms": 20, "pt": OPUS_PT });
    assert_eq!((&agent.start["in"], &agent.start["out"]), (&format, &format));
    let said = coded(&wav::sine_at(900.0, 48_000, 1.0), 20, false);
    speak(&mut phone, &said, |_| false);
    agent.wait_frames(50);
    assert!(agent.frames.iter().map(|frame| &frame.payload).eq(&said), "the agent hears others");
    for pair in agent.frames.windows(2) {
        assert_eq!((pair[1].pt, pair[1].ts.wrapping_sub(pair[0].ts)), (OPUS_PT, 960));
    }
    // Of 60, 20 and 10 ms, in a call of 20 ms.
    let sound = wav::sine_at(1_100.0, 48_000, 0.9);
    let mixed: Vec<Vec<u8>> =
        [60, 20, 10].into_iter().flat_map(|ms| coded(&sound, ms, false)).collect();
    for packet in &mixed {
        agent.play(OPUS_PT, packet);
    }
    agent.say(&json!({ "event": "mark", "name": "all" }));
    assert_eq!(agent.event("mark")["samples"], 3 * 43_200);
    phone.wait_audio("the agent's packets", |_| {
        let packets = phone.packets();
        let heard: Vec<&Vec<u8>> = packets.iter().map(|packet| &packet.payload).collect();
        let wanted: Vec<&Vec<u8>> = mixed.iter().collect();
        heard.windows(wanted.len()).any(|window| window == wanted).then_some(())
    });
    assert_one_stream(&phone.packets());
    // The wire keeps the pace: 2.7 s of packets take as long.
    let packets = phone.packets();
    let first = packets.iter().position(|packet| packet.payload == mixed[0]).unwrap();
    let last = packets.iter().rposition(|packet| packet.payload == mixed[mixed.len() - 1]).unwrap();
    let took = packets[last].at - packets[first].at;
    assert!((2_600..3_200).contains(&took.as_millis()), "{took:?}");

    for _ in 0..5 {
        said.iter().for_each(|packet| agent.play(OPUS_PT, packet));
    }
    agent.order("clear");
    let cleared = agent.event("cleared");
    let (samples, dropped) =
        (cleared["samples"].as_u64().unwrap(), cleared["dropped_ms"].as_u64().unwrap());
    assert_eq!(samples / 48 - 2_700 + dropped, 5_000, "{cleared}");
    agent.play(OPUS_PT, &[1, 2]);
    assert_eq!(agent.event("error")["code"], "bad_frame");
    part(server, phone, agent);
}

/// An agent that hears linear audio loses nothing of a phone whose packets are lost one by one and
/// which repeats in each what the one before said.
#[test]
fn opus_losses_are_made_up_for() {
    let format = "format = { codec = \"l16le\", rate_hz = 16000 }";
    let (server, mut phone, mut agent) = connected(OPUS, format);
    // A voice: harmonics of a gliding pitch. What is no speech is not repeated.
    let mut phase = 0.0;
    let voice = (0..48_000 * 3).map(|n| {
        let at = f64::from(n) / 48_000.0;
        phase += TAU * (150.0 + 40.0 * (at * 3.0).sin()) / 48_000.0;
        let sound = phase.sin() + 0.5 * (3.0 * phase).sin() + 0.3 * (7.0 * phase).sin();
        (sound * (at * 4.0).sin().max(0.0) * 6_000.0) as i16
    });
    let packets = coded(&voice.collect::<Vec<_>>(), 20, true);
    let lost = |n: usize| n % 10 == 7;
    let redundant = (0..packets.len() - 1)
        .filter(|n| lost(*n) && media::codec::opus::has_redundancy(&packets[n + 1]))
        .count();
    assert!(redundant >= 3, "only {redundant} lost packets are repeated");
    let lost_count = (0..packets.len()).filter(|n| lost(*n)).count();
    speak(&mut phone, &packets, lost);
    let expected = packets.len() - lost_count + redundant;
    agent.wait_frames(expected);
    for pair in agent.frames.windows(2) {
        let steps = pair[1].seq.wrapping_sub(pair[0].seq);
        assert!((1..=2).contains(&steps));
        assert_eq!(pair[1].ts.wrapping_sub(pair[0].ts), 320 * u32::from(steps));
    }
    assert_eq!(agent.frames.len(), expected);
    part(server, phone, agent);
}

/// An agent of µ-law and a phone of Opus, and the other way round; and the queue follows a phone
/// that goes over to another codec in mid-word.
#[test]
fn opus_beside_other_codecs() {
    let (server, mut phone, mut agent) = connected(OPUS, "format = { codec = \"PCMU\" }");
    speak(&mut phone, &coded(&wav::sine_at(1_000.0, 48_000, 1.2), 20, false), |_| false);
    agent.wait_frames(55);
    let codes: Vec<u8> = agent.frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    let samples: Vec<i16> = codes.iter().map(|code| wav::ulaw(*code)).collect();
    assert!(wav::has_tone(&samples, 8_000, 1_000.0));
    agent.play(0, &wav::to_ulaw(&wav::sine_at(700.0, 8_000, 6.0)));
    wait_tone(&phone, 700.0);
    phone.change_codec(phone::PCMU);
    phone.wait_audio("the rest in µ-law", |bytes| {
        let samples: Vec<i16> = bytes.iter().map(|code| wav::ulaw(*code)).collect();
        wav::has_tone(&samples, 8_000, 700.0).then_some(())
    });
    part(server, phone, agent);

    let (server, mut phone, mut agent) = connected(phone::PCMU, "format = { codec = \"opus\" }");
    phone.speak(&wav::to_ulaw(&wav::sine_at(1_000.0, 8_000, 1.2)));
    agent.wait_frames(55);
    assert!(agent.frames.iter().all(|frame| frame.pt == OPUS_PT));
    let heard = decoded(agent.frames.iter().map(|frame| frame.payload.as_slice()));
    assert!(wav::has_tone(&heard, 48_000, 1_000.0));
    for packet in coded(&wav::sine_at(700.0, 48_000, 3.0), 20, false) {
        agent.play(OPUS_PT, &packet);
    }
    phone.wait_audio("700 Hz", |bytes| {
        let samples: Vec<i16> = bytes.iter().map(|code| wav::ulaw(*code)).collect();
        wav::has_tone(&samples, 8_000, 700.0).then_some(())
    });
    part(server, phone, agent);
}

/// Agents of the server itself: the tone goes on through changes of codec, the echo sends packets
/// back as they came.
#[test]
fn opus_built_in_agents() {
    let server = Server::start(
        "[sip]\ncodecs = [\"opus\", \"PCMU\"]\n\
         [[agents]]\nname = \"tone\"\nkind = \"builtin\"\nbuiltin = \"tone\"\n\
         frequency_hz = 1000\n\
         [[agents]]\nname = \"echo\"\nkind = \"builtin\"\nbuiltin = \"echo\"\n",
    );
    let mut phone = Phone::call_in(server.sip, "tone", "", phone::PCMU);
    phone.wait_answer();
    let answer = phone.change_codec(OPUS);
    assert!(answer.contains(OPUS.map), "{answer}");
    wait_tone(&phone, 1_000.0);
    phone.hang_up();

    let mut phone = Phone::call_in(server.sip, "echo", "", OPUS);
    phone.wait_answer();
    let said = coded(&wav::sine_at(6_000.0, 48_000, 0.5), 20, false);
    speak(&mut phone, &said, |_| false);
    phone.wait_audio("the echo", |_| {
        phone.packets().iter().map(|packet| &packet.payload).eq(&said).then_some(())
    });
    assert_one_stream(&phone.packets());
    phone.change_codec(phone::PCMU);
    let said = [0x42; 1_600];
    phone.speak(&said);
    phone.wait_audio("the echo at another clock", |heard| (heard == said).then_some(()));
    phone.hang_up();
    server.wait_idle();
    server.stop();
}
