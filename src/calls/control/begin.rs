//! How every call begins, whoever placed it.

use std::net::IpAddr;
use std::sync::Arc;

use adapters::agent::{Direction, StreamFormat};
use media::srtp::SrtpKeys;
use media::time::MonoTime;
use uuid::Uuid;

use super::Control;
use super::agents::SIP;
use super::effects::label;
use super::incoming::unix_ms;
use crate::calls::call::{AnswerBy, Call, Plan, Which};
use crate::calls::carrier::CarrierLeg;
use crate::calls::digits::{DigitsBy, InfoDigits};
use crate::calls::far::Flows;
use crate::calls::hold::Hold;
use crate::calls::line::Line;
use crate::calls::live::{LiveCall, Logged, Under, direction};
use crate::calls::pbx::PbxLine;
use crate::calls::reason::PeerReason;
use crate::calls::redirect::Redirects;
use crate::calls::web_phone::WebPhone;
use crate::config::{Ambient, Keep, Masked};
use crate::directory::{Agent, Fallback, Trunk};
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::offer_answer::LocalMedia;
use crate::sip::core::sdp::Sdp;
use crate::telemetry::CarrierLabel;
use crate::workers::command::{CallKey, Command, LegFormat, RtpSockets};
use crate::workers::gauges::Gauges;
use crate::workers::line::{LinePlan, PeerLink};
use crate::workers::poller::now;

/// All that a call is made of.
pub(super) struct Beginning {
    /// Its id; a new one if absent.
    pub(super) id: Option<Uuid>,
    pub(super) peer: Peer,
    /// How many more hops its INVITE might have taken, if it came with one.
    pub(super) max_forwards: Option<u8>,
    pub(super) plan: Plan,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) trunk: Option<Arc<Trunk>>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) agent: Arc<Agent>,
    pub(super) fallback: Fallback,
    pub(super) ambient: Option<Ambient>,
    pub(super) keep: Keep,
    pub(super) permit: Permit,
    /// Its place on its trunk, if it is placed through one.
    pub(super) line: Option<Permit>,
    /// Its place at the agent, if there was one.
    pub(super) slot: Option<Permit>,
}

/// Who is at the peer's end.
pub(super) enum Peer {
    /// Somebody who speaks SIP.
    Sip(Box<SipPeer>),
    /// A carrier that controls the call over HTTP.
    Carrier { leg: Box<CarrierLeg>, media: CarrierMedia },
    /// A person on a web page, which brings its audio by a socket.
    Web { phone: Box<WebPhone>, plan: LinePlan },
    /// A PBX that brings the call by its media connection.
    Pbx { line: Box<PbxLine>, plan: LinePlan },
}

/// How a carrier brings the audio of a call.
pub(super) enum CarrierMedia {
    /// By a socket of messages.
    Line(Box<Line>, LinePlan),
    /// By RTP that no SIP negotiates.
    Rtp(RtpSockets, StreamFormat),
}

/// A peer that speaks SIP.
pub(super) struct SipPeer {
    pub(super) dialog: DialogId,
    pub(super) media: LocalMedia,
    pub(super) sockets: RtpSockets,
    pub(super) format: Option<LegFormat>,
    pub(super) sdp: Vec<u8>,
    pub(super) signalling: IpAddr,
    pub(super) offer: Option<Sdp>,
}

/// A peer as a call holds it.
#[derive(Default)]
struct Held {
    dialog: Option<DialogId>,
    carrier: Option<Box<CarrierLeg>>,
    line: Option<Box<Line>>,
    web: Option<Box<WebPhone>>,
    pbx: Option<Box<PbxLine>>,
    signalling: Option<IpAddr>,
    offer: Option<Box<Sdp>>,
    sdp: Vec<u8>,
    digits: Option<DigitsBy>,
    settled: Settled,
    delayed_offer: bool,
}

impl Control {
    /// Opens the media of a call whose peer is this.
    fn open(
        &self,
        key: CallKey,
        worker: usize,
        peer: Peer,
        trunk: Option<&Trunk>,
    ) -> (Held, LocalMedia) {
        let peer = match peer {
            Peer::Sip(peer) => *peer,
            Peer::Web { phone, plan } => {
                let (web, digits) = (Some(phone), Some(plan.digits));
                let settled = Settled { stream: Some(plan.format), ..Settled::default() };
                self.command(worker, Command::Open { call: key, peer: PeerLink::Line(plan) });
                return (Held { web, settled, digits, ..Held::default() }, LocalMedia::none());
            }
            Peer::Pbx { line, plan } => {
                let (pbx, digits) = (Some(line), Some(plan.digits));
                let settled = Settled { stream: Some(plan.format), ..Settled::default() };
                self.command(worker, Command::Open { call: key, peer: PeerLink::Line(plan) });
                return (Held { pbx, settled, digits, ..Held::default() }, LocalMedia::none());
            }
            Peer::Carrier { leg, media } => {
                let (line, stream, digits, peer) = match media {
                    CarrierMedia::Line(line, plan) => {
                        (Some(line), plan.format, plan.digits, PeerLink::Line(plan))
                    }
                    // Where it is to go is told later, and keys are pressed by requests.
                    CarrierMedia::Rtp(sockets, stream) => {
                        (None, stream, DigitsBy::Info, PeerLink::Rtp { sockets, format: None })
                    }
                };
                let settled = Settled { stream: Some(stream), ..Settled::default() };
                self.command(worker, Command::Open { call: key, peer });
                let (carrier, digits) = (Some(leg), Some(digits));
                let held = Held { carrier, line, settled, digits, ..Held::default() };
                return (held, LocalMedia::none());
            }
        };
        let SipPeer { dialog, mut media, sockets, mut format, sdp, signalling, offer } = peer;
        let digits = self.settle_digits(trunk, dialog, format.as_mut());
        let settled = Settled::of(format.as_ref());
        // What is encrypted stays so when we offer next.
        media.srtp.offers = settled.stream.map_or(media.srtp.offers, |_| settled.srtp.is_some());
        let delayed_offer = settled.stream.is_none();
        let link = PeerLink::Rtp { sockets, format };
        self.command(worker, Command::Open { call: key, peer: link });
        let held = Held {
            dialog: Some(dialog),
            carrier: None,
            line: None,
            web: None,
            pbx: None,
            signalling: Some(signalling),
            offer: offer.map(Box::new),
            sdp,
            digits,
            settled,
            delayed_offer,
        };
        (held, media)
    }

    /// Opens the call's media, enters it into the tables and does what its start demands.
    #[expect(clippy::too_many_lines, reason = "most of it names the fields of a call")]
    pub(super) fn begin(&mut self, beginning: Beginning) -> CallKey {
        let Beginning { peer, plan, from, to, trunk, agent, .. } = beginning;
        let plan = self.within_limits(plan, &agent);
        let (key, worker) = (self.next_key(), self.least_loaded());
        let id = beginning.id.unwrap_or_else(Uuid::now_v7);
        let span = announced(id, plan.direction, &from, &to, &agent.name);
        let (peer, media) = self.open(key, worker, peer, trunk.as_deref());
        let gauges = Arc::new(Gauges::new(carrier_of(&peer, trunk.as_deref())));
        self.command(worker, Command::Gauge { call: key, gauges: Arc::clone(&gauges) });
        let Settled { srtp, stream, flows } = peer.settled;
        let mut effects = std::mem::take(&mut self.effects);
        let (fallback, message) = second(beginning.fallback);
        let mut call = Call::start(plan, now(), &mut effects);
        if peer.web.is_some() {
            call.await_peer();
        }
        self.insert(LiveCall {
            key,
            id,
            call,
            max_forwards: beginning.max_forwards,
            dialog: peer.dialog,
            carrier: peer.carrier,
            placing: None,
            worker,
            direction: plan.direction,
            from,
            to,
            trunk,
            headers: beginning.headers,
            variables: beginning.variables,
            slot: beginning.slot.map(|slot| (agent.id, slot)),
            agent,
            fallback,
            message,
            which: Which::Main,
            permit: beginning.permit,
            line: beginning.line,
            carried: peer.line,
            web: peer.web,
            pbx: peer.pbx,
            taken_over: false,
            peer_hold: None,
            agent_answers: plan.answer_by == AnswerBy::Agent,
            answer_headers: Vec::new(),
            delayed_offer: plan.direction == Direction::Inbound && peer.delayed_offer,
            digits: peer.digits,
            info_digits: InfoDigits::default(),
            srtp,
            format: stream,
            sdp: peer.sdp,
            playing_message: false,
            signalling: peer.signalling.unwrap_or(NOWHERE),
            media,
            attempt: 0,
            awaits: None,
            resumed: false,
            sounding: None,
            awaits_sound: None,
            under: Under::new(beginning.ambient),
            keep: beginning.keep,
            recording: None,
            recorded: None,
            messages: Vec::new(),
            listeners: Vec::new(),
            gauges,
            captured: false,
            began: now(),
            began_unix_ms: unix_ms(),
            ended: None,
            peer_reason: PeerReason::default(),
            ended_at: None,
            redirects: Redirects::default(),
            flows,
            offer: peer.offer,
            far: None,
            external: None,
            coming: None,
            third: None,
            joined: None,
            far_reason: PeerReason::default(),
            hold: Hold::default(),
            queued: None,
            parked: None,
            transfer: None,
            takeover: None,
            scheduled: MonoTime::MAX,
            logged: Logged::default(),
            span,
        });
        self.log_beginning(key);
        self.log_rate(key);
        self.capture_from_start(key);
        self.belongs_to_pbx(key);
        self.perform(key, &mut effects);
        self.effects = effects;
        key
    }

    /// Takes a new call into the tables.
    fn insert(&mut self, call: LiveCall) {
        let key = call.key;
        self.metrics.calls.started(label(call.direction));
        self.by_id.insert(call.id, key);
        self.by_dialog.extend(call.dialog.map(|dialog| (dialog, key)));
        self.calls.insert(key, Box::new(call));
        self.reschedule(key);
    }
}

/// Who or what comes when the agent cannot be had.
fn second(fallback: Fallback) -> (Option<Arc<Agent>>, Option<std::path::PathBuf>) {
    match fallback {
        Fallback::Agent(agent) => (Some(agent), None),
        Fallback::Message(path) => (None, Some(path)),
        Fallback::Hangup => (None, None),
    }
}

/// The carrier of a call, for metrics.
fn carrier_of(peer: &Held, trunk: Option<&Trunk>) -> CarrierLabel {
    let own = peer.carrier.as_ref().map(|leg| leg.account.spec.name);
    CarrierLabel::named(own.or_else(|| trunk.map(|_| SIP)))
}

/// Where the signalling of a call comes from that has none of SIP.
const NOWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);

/// What is settled of a call's media when it begins.
#[derive(Default)]
struct Settled {
    srtp: Option<Arc<SrtpKeys>>,
    stream: Option<StreamFormat>,
    flows: Flows,
}

impl Settled {
    fn of(format: Option<&LegFormat>) -> Self {
        Self {
            srtp: format.and_then(|format| format.srtp.clone()),
            stream: format.map(stream_of),
            flows: format.map(flows_of).unwrap_or_default(),
        }
    }
}

/// The ways of a leg's audio.
pub(super) const fn flows_of(format: &LegFormat) -> Flows {
    let noise = format.media.cn_pt.is_some();
    Flows { sends: format.send, receives: format.receive, noise }
}

/// The audio of a leg.
const fn stream_of(format: &LegFormat) -> StreamFormat {
    StreamFormat { audio: format.media.audio, ptime_ms: format.media.ptime_ms }
}

/// The span of a new call, and its first line in the log.
fn announced(id: Uuid, way: Direction, from: &str, to: &str, agent: &str) -> tracing::Span {
    let span = tracing::info_span!("call", %id, direction = direction(way));
    tracing::info!(parent: &span, from = %Masked(from), to = %Masked(to), %agent, "call begins");
    span
}
