//! Bodies of fuzz targets for the user agent: any input must be survived, and nothing may be left.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use media::codec::AudioFormat;
use media::time::MonoTime;

use super::{
    DialogId, Endpoint, EndpointConfig, Event, Flow, InviteParams, Limits, Reliability, Transport,
};
use crate::sip::core::offer_answer::{LocalMedia, LocalSrtp, accept_answer, answer, build_reoffer};
use crate::sip::core::sdp::{Direction, Sdp};
use crate::sip::core::session_timer::TimerConfig;

/// Messages that wait in the emulated network; the oldest is lost beyond.
const WIRE_MAX_MESSAGES: usize = 64;
/// Longest time that any call or transaction lives on without input, and its multiple for chains.
const AFTERMATH: Duration = Duration::from_secs(2000);
/// Steps of the clock after the last operation, more than every timer of every call together.
const AFTERMATH_STEPS_MAX: usize = 1_000_000;

fn local_media() -> LocalMedia {
    LocalMedia {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port: 20_000,
        codecs: vec![AudioFormat::PCMU, AudioFormat::PCMA, AudioFormat::l16be(16_000)],
        telephone_event: true,
        comfort_noise: false,
        ptime_ms: 20,
        direction: Direction::SendRecv,
        rtcp_mux: true,
        xr: false,
        srtp: LocalSrtp::default(),
        session_id: 1,
        session_version: 1,
    }
}

/// Reads a description, answers it, takes it as an answer and offers again. What is written must be
/// readable and have the same streams.
pub fn sdp(octets: &[u8]) {
    let Ok(sdp) = Sdp::parse(octets) else { return };
    let local = local_media();
    let _ = accept_answer(&local, &sdp);
    if let Ok(answered) = answer(&sdp, &local) {
        let written = Sdp::parse(&answered.sdp);
        let selected = answered.selected;
        assert!(written.as_ref().is_ok_and(|w| w.media.len() == sdp.media.len()));
        assert!((10..=60).contains(&selected.ptime_ms) && selected.pt < 128);
        let peer = LocalMedia { codecs: vec![selected.codec], ..local.clone() };
        assert!(written.is_ok_and(|w| accept_answer(&peer, &w).is_ok()));
    }
    let again = Sdp::parse(&build_reoffer(&local, &sdp));
    assert!(again.is_ok_and(|a| !a.media.is_empty()));
}

/// Runs two endpoints against each other by the octets: which commands they are given, which
/// messages arrive, get lost, doubled or damaged, and how time passes. In the end every call is
/// hung up, and both must be empty.
pub fn sip_endpoint(octets: &[u8]) {
    let mut world = World::new();
    let mut input = octets.iter().copied();
    while let Some(operation) = input.next() {
        world.perform(operation, &mut input);
        world.settle();
    }
    world.finish();
}

/// Commands that an endpoint takes.
const COMMANDS: u8 = 22;

const fn reliability(which: usize) -> Reliability {
    match which % 5 {
        0 | 1 => Reliability::Supported,
        2 | 3 => Reliability::Required,
        _ => Reliability::Off,
    }
}

struct World {
    now: MonoTime,
    transport: Transport,
    endpoints: [Endpoint; 2],
    dialogs: [Vec<DialogId>; 2],
    wire: VecDeque<(usize, Bytes)>,
}

impl World {
    fn new() -> Self {
        let limits = Limits {
            calls_max: 8,
            server_transactions_max: 24,
            client_transactions_max: 24,
            ..Limits::default()
        };
        let session_timer = Some(TimerConfig { interval_s: 90, min_s: 90 });
        let config = EndpointConfig { limits, session_timer, ..EndpointConfig::default() };
        Self {
            now: MonoTime::from_nanos(1),
            transport: Transport::Udp,
            endpoints: [Endpoint::new(config.clone(), 1), Endpoint::new(config, 2)],
            dialogs: [Vec::new(), Vec::new()],
            wire: VecDeque::new(),
        }
    }

    fn flow(&self, side: usize) -> Flow {
        let address = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
        let (local, peer) = if side == 0 { (5060, 5062) } else { (5062, 5060) };
        Flow {
            transport: self.transport,
            local: address(local),
            peer: address(peer),
            connection: u64::from(self.transport.is_reliable()),
        }
    }

    fn perform(&mut self, operation: u8, input: &mut impl Iterator<Item = u8>) {
        let side = usize::from(operation & 1);
        let mut next = || input.next().unwrap_or(0);
        match (operation >> 1) % 10 {
            0..3 => self.deliver(0),
            3 => self.deliver(usize::from(next())),
            4 => drop(self.wire.pop_front()),
            5 => {
                let copy = self.wire.front().cloned();
                self.wire.extend(copy);
            }
            6 => {
                let (at, with) = (next(), next());
                self.damage(usize::from(at), with);
            }
            7 => {
                let ms = u64::from(next());
                self.pass(Duration::from_millis(ms * ms));
            }
            8 => {
                let (command, which) = (next(), next());
                self.command(side, command, usize::from(which));
            }
            _ => self.disturb(side, next()),
        }
    }

    fn deliver(&mut self, nth: usize) {
        let index = nth.checked_rem(self.wire.len()).unwrap_or(0);
        let Some((side, bytes)) = self.wire.remove(index) else { return };
        let flow = self.flow(side);
        if let Some(endpoint) = self.endpoints.get_mut(side) {
            endpoint.handle_datagram(self.now, flow, bytes);
        }
    }

    /// Changes one octet of the next message.
    fn damage(&mut self, at: usize, with: u8) {
        let Some((_, bytes)) = self.wire.front_mut() else { return };
        let mut octets = bytes.to_vec();
        let index = (at * 7).checked_rem(octets.len()).unwrap_or(0);
        if let Some(octet) = octets.get_mut(index) {
            *octet = with;
        }
        *bytes = Bytes::from(octets);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..AFTERMATH_STEPS_MAX {
            let due = self.endpoints.iter().filter_map(Endpoint::deadline).min();
            let Some(at) = due.filter(|at| *at <= end) else { break };
            self.now = self.now.max(at);
            for endpoint in &mut self.endpoints {
                endpoint.handle_timeout(self.now);
            }
            self.settle();
        }
        self.now = end;
    }

    fn command(&mut self, side: usize, command: u8, which: usize) {
        let (now, flow) = (self.now, self.flow(side));
        let (Some(endpoint), Some(dialogs)) =
            (self.endpoints.get_mut(side), self.dialogs.get_mut(side))
        else {
            return;
        };
        let sdp: &[u8] = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\nc=IN IP4 127.0.0.1\r\n";
        if command.is_multiple_of(COMMANDS) {
            let params = InviteParams {
                uri: "sip:b@127.0.0.1".into(),
                flow,
                from: "<sip:a@127.0.0.1>".into(),
                to: "<sip:b@127.0.0.1>".into(),
                contact_user: None,
                sdp: (which & 1 == 0).then(|| sdp.to_vec()),
                reliability: reliability(which),
                headers: self.replacing(side, which),
            };
            let Some(endpoint) = self.endpoints.get_mut(side) else { return };
            let Some(dialogs) = self.dialogs.get_mut(side) else { return };
            dialogs.extend(endpoint.invite(now, params));
            return;
        }
        let index = which.checked_rem(dialogs.len()).unwrap_or(0);
        let Some(id) = dialogs.get(index).copied() else { return };
        // Most commands do not fit the state of the call they meet: that is part of the test.
        let _ = match command % COMMANDS {
            1 => endpoint.provisional(now, id, 180, "Ringing", None, &[]),
            2 | 3 => endpoint.answer(now, id, Some(sdp), &[]),
            4 => endpoint.reject(now, id, 486, "Busy Here", &[]),
            5 => endpoint.bye(now, id, &[("Reason", "Q.850;cause=16")]),
            6 => endpoint.cancel(now, id, &[]),
            7 => endpoint.reinvite(now, id, (which & 1 == 0).then_some(sdp)),
            8 => endpoint.accept_reinvite(now, id, sdp),
            9 => endpoint.reject_reinvite(now, id, 488, "Not Acceptable Here", &[]),
            10 => endpoint.info(now, id, "text/plain", b"x"),
            11 => endpoint.ack_with(now, id, sdp),
            12 => endpoint.provisional(now, id, 183, "Progress", Some(sdp), &[]),
            13 => endpoint.update(now, id, sdp),
            14 => endpoint.prack_with(now, id, sdp),
            15 => endpoint.set_reliability(id, reliability(which)),
            16 | 17 => endpoint.refer(now, id, "<sip:c@127.0.0.1>", &[]),
            18 => endpoint.accept_refer(now, id),
            19 => endpoint.reject_refer(now, id, 603, "Decline"),
            20 => endpoint.notify(now, id, 180, "Ringing", false),
            _ => endpoint.notify(now, id, 200, "OK", true),
        };
    }

    /// Headers that make a new call replace one of the other side, now and then.
    fn replacing(&self, side: usize, which: usize) -> Vec<(String, String)> {
        let dialogs = self.dialogs.get(side).filter(|_| which & 2 != 0);
        let dialog = dialogs.and_then(|dialogs| dialogs.get(which >> 2).copied());
        let endpoint = self.endpoints.get(side);
        let replacement =
            endpoint.zip(dialog).and_then(|(endpoint, dialog)| endpoint.replacement(dialog));
        replacement.into_iter().map(|(_, value)| ("Replaces".to_owned(), value)).collect()
    }

    fn disturb(&mut self, side: usize, how: u8) {
        let (now, flow) = (self.now, self.flow(side));
        let Some(endpoint) = self.endpoints.get_mut(side) else { return };
        match how % 5 {
            0 => endpoint.handle_closed(now, 1),
            1 => endpoint.handle_unreachable(now, flow),
            2 => endpoint.refuse_calls((how & 64 == 0).then_some(3)),
            3 => endpoint.handle_connected(1),
            _ => {
                let at = Transport::ALL.iter().position(|t| *t == self.transport).unwrap_or(0);
                let next = Transport::ALL.get((at + 1) % Transport::ALL.len());
                self.transport = next.copied().unwrap_or(Transport::Udp);
            }
        }
    }

    /// Puts what is sent onto the wire and takes note of new calls.
    fn settle(&mut self) {
        for (side, endpoint) in self.endpoints.iter_mut().enumerate() {
            while let Some(transmit) = endpoint.poll_transmit() {
                if self.wire.len() == WIRE_MAX_MESSAGES {
                    self.wire.pop_front();
                }
                self.wire.push_back((1 - side, transmit.bytes));
            }
            while let Some(event) = endpoint.poll_event() {
                if let (Event::Incoming { dialog, .. }, Some(dialogs)) =
                    (event, self.dialogs.get_mut(side))
                {
                    dialogs.push(dialog);
                }
            }
            let (servers, clients) = endpoint.transactions();
            assert!(endpoint.calls() <= 8 && servers <= 24 && clients <= 24 + 16);
        }
    }

    fn finish(&mut self) {
        self.wire.clear();
        // What waits for an ACK or an answer may be hung up only later, hence twice.
        for _ in 0..2 {
            for side in 0..2 {
                for dialog in self.dialogs.get(side).cloned().unwrap_or_default() {
                    if let Some(endpoint) = self.endpoints.get_mut(side) {
                        let _ = endpoint.bye(self.now, dialog, &[]);
                    }
                }
            }
            self.settle();
            self.pass(AFTERMATH);
            self.wire.clear();
        }
        for endpoint in &self.endpoints {
            assert_eq!((endpoint.calls(), endpoint.transactions()), (0, (0, 0)));
            assert_eq!(endpoint.deadline(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Many random sequences: nothing panics, no bound is passed, nothing is left.
    #[test]
    fn random_operations() {
        let mut random = fastrand::Rng::with_seed(5);
        for _ in 0..300 {
            let length = random.usize(0..400);
            let octets: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            sip_endpoint(&octets);
        }
    }

    /// Sequences that mostly deliver and command, so that calls come up.
    #[test]
    fn random_calls() {
        let mut random = fastrand::Rng::with_seed(6);
        for _ in 0..300 {
            let mut octets = Vec::new();
            for _ in 0..random.usize(0..150) {
                match random.u32(0..10) {
                    0..6 => octets.push(random.u8(0..6)),
                    6 => octets.extend([14 + random.u8(0..2), random.u8(..)]),
                    7 => octets.extend([random.u8(0..20), random.u8(..), random.u8(..)]),
                    _ => octets.extend([16 + random.u8(0..2), random.u8(..), random.u8(..)]),
                }
            }
            sip_endpoint(&octets);
        }
    }

    /// Descriptions made of pieces of descriptions.
    #[test]
    fn random_descriptions() {
        const PIECES: [&str; 16] = [
            "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\n",
            "c=IN IP4 1.2.3.4\r\n",
            "c=IN IP6 ::1\r\n",
            "c=IN IP4 0.0.0.0\r\n",
            "m=audio 4000 RTP/AVP 0 8 101\r\n",
            "m=audio 0 RTP/AVP 0\r\n",
            "m=audio 65535 RTP/AVP 102\r\n",
            "m=video 9 RTP/SAVPF 31\r\n",
            "a=rtpmap:102 L16/16000\r\n",
            "a=rtpmap:101 telephone-event/8000\r\n",
            "a=ptime:1000\r\n",
            "a=maxptime:1\r\n",
            "a=sendonly\r\n",
            "a=rtcp:1 IN IP4 5.6.7.8\r\n",
            "a=rtcp-mux\r\n",
            "m=audio 1 RTP/AVP\r\n",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..3000 {
            let mut text = PIECES[0].to_owned();
            for _ in 0..random.usize(0..12) {
                text.push_str(PIECES[random.usize(..PIECES.len())]);
            }
            sdp(text.as_bytes());
        }
    }
}
