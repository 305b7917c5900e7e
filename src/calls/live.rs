//! A call in this process: its state machine and everything that belongs to it.

use std::sync::Arc;

use adapters::agent::{DialectSpec, Direction, EndedBy, StreamFormat};
use media::codec::AudioFormat;
use media::srtp::SrtpKeys;
use media::time::MonoTime;
use uuid::Uuid;

use super::call::{Call, Which};
use super::carrier::CarrierLeg;
use super::cause::Cause;
use super::control::Placing;
use super::digits::{DigitsBy, InfoDigits};
use super::external::External;
use super::far::{Far, Flows, Joined, Seat};
use super::hold::Hold;
use super::line::Line;
use super::log::{Recorded, StageFigures, State};
use super::parked::Parked;
use super::pbx::PbxLine;
use super::queued::Queued;
use super::reason::PeerReason;
use super::redirect::Redirects;
use super::sounds::Wanted;
use super::takeover::Takeover;
use super::underway::Underway;
use super::view::{CallView, Record};
use super::web_phone::WebPhone;
use crate::config::{Ambient, Keep};
use crate::directory::{Agent, Trunk};
use crate::quota::{Permit, credit};
use crate::recording;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::offer_answer::LocalMedia;
use crate::sip::core::sdp::Sdp;
use crate::workers::command::CallKey;
use crate::workers::gauges::Gauges;

/// A call in this process.
pub(super) struct LiveCall {
    /// Its number in this process.
    pub(super) key: CallKey,
    /// Its id for everybody else.
    pub(super) id: Uuid,
    /// Its state machine.
    pub(super) call: Call,
    /// How many more hops its INVITE might have taken, if it came with one.
    pub(super) max_forwards: Option<u8>,
    /// The SIP dialog with the peer; none once that is over.
    pub(super) dialog: Option<DialogId>,
    /// The carrier's side of a call that a carrier controls over HTTP.
    pub(super) carrier: Option<Box<CarrierLeg>>,
    /// Where else it may be placed, until it is answered.
    pub(super) placing: Option<Box<Placing>>,
    /// The line that its peer is on, if it came or went by a carrier's sockets.
    pub(super) carried: Option<Box<Line>>,
    /// The web page that its peer talks from.
    pub(super) web: Option<Box<WebPhone>>,
    /// The PBX that brought it by its media connection.
    pub(super) pbx: Option<Box<PbxLine>>,
    /// Index of the worker that has its media.
    pub(super) worker: usize,
    /// Who called whom.
    pub(super) direction: Direction,
    /// The calling address.
    pub(super) from: String,
    /// The called address.
    pub(super) to: String,
    /// The trunk it came or went by.
    pub(super) trunk: Option<Arc<Trunk>>,
    /// SIP headers that the trunk lets through to the agent.
    pub(super) headers: Vec<(String, String)>,
    /// Variables for the agent.
    pub(super) variables: Vec<(String, String)>,
    /// The route's agent.
    pub(super) agent: Arc<Agent>,
    /// The route's second agent.
    pub(super) fallback: Option<Arc<Agent>>,
    /// The route's message.
    pub(super) message: Option<std::path::PathBuf>,
    /// Who of them is meant now.
    pub(super) which: Which,
    /// What it counts for as long as it lives.
    pub(super) permit: Permit,
    /// The money that the leg holds which took its peer's place.
    pub(super) peer_hold: Option<credit::Hold>,
    /// Its place on the trunk that it is placed through: dropping it gives the place back.
    pub(super) line: Option<Permit>,
    /// Its place at an agent, by the agent's id.
    pub(super) slot: Option<(Uuid, Permit)>,
    /// Header fields that the agent adds to its answer.
    pub(super) answer_headers: Vec<(String, String)>,
    /// The agent decides about the answer.
    pub(super) agent_answers: bool,
    /// Audio as the peer codes it.
    pub(super) format: Option<StreamFormat>,
    /// Our session description, as sent or to be sent with the answer.
    pub(super) sdp: Vec<u8>,
    /// We made the offer in our 200, so the ACK brings the answer.
    pub(super) delayed_offer: bool,
    /// The route's message plays in the agent's place.
    pub(super) playing_message: bool,
    /// Where the signalling comes from.
    pub(super) signalling: std::net::IpAddr,
    /// What we can do: the offers and answers of this call are made of it.
    pub(super) media: LocalMedia,
    /// What the caller hears of ours, if it was coded for the caller's codec.
    pub(super) sounding: Option<Sounding>,
    /// A sound that is being loaded, to be heard then.
    pub(super) awaits_sound: Option<Awaited>,
    /// What the peer hears under its agent.
    pub(super) under: Under,
    /// How digits get to the peer, once that is settled.
    pub(super) digits: Option<DigitsBy>,
    /// Those that go out by INFO.
    pub(super) info_digits: InfoDigits,
    /// The keys of its SRTP; plain RTP without.
    pub(super) srtp: Option<Arc<SrtpKeys>>,
    /// The agent that is being connected has had this call before.
    pub(super) resumed: bool,
    /// The dialect of the agent on a socket that is awaited.
    pub(super) awaits: Option<&'static DialectSpec>,
    /// Number of the current attempt to connect an agent; results of older ones are dropped.
    pub(super) attempt: u64,
    /// When the INVITE came or went.
    pub(super) began: MonoTime,
    /// The same on the wall.
    pub(super) began_unix_ms: u64,
    /// What of it is kept.
    pub(super) keep: Keep,
    /// How its recording stands, if there is one.
    pub(super) recording: Option<recording::State>,
    /// The same as its log is told of it.
    pub(super) recorded: Option<Box<Recorded>>,
    /// Messages that its peer leaves; one, unless it has just begun another.
    pub(super) messages: Vec<Leaving>,
    /// Those who listen in.
    pub(super) listeners: Vec<Uuid>,
    /// How its media fare at this moment.
    pub(super) gauges: Arc<Gauges>,
    /// Its packets and messages are captured.
    pub(super) captured: bool,
    /// How it ended, while the worker finishes.
    pub(super) ended: Option<(Cause, EndedBy)>,
    /// Why, as the peer says.
    pub(super) peer_reason: PeerReason,
    /// When it ended.
    pub(super) ended_at: Option<MonoTime>,
    /// Where it has been sent to instead.
    pub(super) redirects: Redirects,
    /// Which ways audio may go between us and its peer.
    pub(super) flows: Flows,
    /// What an inbound call to a telephone offered: its answer waits for that of the telephone.
    pub(super) offer: Option<Box<Sdp>>,
    /// The leg of a telephone at the agent's end, or one that is called to be the agent.
    pub(super) far: Option<Box<Far>>,
    /// The PBX in front of it that owns it.
    pub(super) external: Option<Box<External>>,
    /// One that a transfer calls to come there.
    pub(super) coming: Option<Box<Far>>,
    /// One that has joined peer and agent, and how.
    pub(super) third: Option<Box<Far>>,
    pub(super) joined: Option<Joined>,
    /// Why that leg refused or ended, as it says.
    pub(super) far_reason: PeerReason,
    /// Whether its peer is on hold.
    pub(super) hold: Hold,
    /// Its part in a queue.
    pub(super) queued: Option<Queued>,
    /// It is put aside.
    pub(super) parked: Option<Box<Parked>>,
    /// The transfer that is under way.
    pub(super) transfer: Option<Box<Underway>>,
    /// Its peer is no longer the one that it began with.
    pub(super) taken_over: bool,
    /// The leg that is about to take the place of its peer.
    pub(super) takeover: Option<Takeover>,
    /// When it is looked after next, by the control's table of deadlines.
    pub(super) scheduled: MonoTime,
    /// What of it was told to the log.
    pub(super) logged: Logged,
    /// Its span in the log.
    pub(super) span: tracing::Span,
}

/// A message that a peer leaves.
#[derive(Debug)]
pub(super) struct Leaving {
    /// Names it.
    pub(super) id: Uuid,
    /// Name of the agent that takes it.
    pub(super) agent: String,
    /// It cannot be written.
    pub(super) failed: bool,
}

/// What of a call was told to the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Logged {
    /// Facts, which are numbered.
    pub(super) facts: u32,
    /// How it began.
    pub(super) began: bool,
    /// That it rings, which is said with every provisional response.
    pub(super) ringing: bool,
    /// That it is heard before its answer.
    pub(super) early: bool,
    /// Things that were said.
    pub(super) spoken: u32,
}

/// What is assumed of a peer with which nothing is settled yet.
pub(super) const DEFAULT_FORMAT: StreamFormat =
    StreamFormat { audio: AudioFormat::PCMU, ptime_ms: 20 };

/// A sound of ours that the caller hears, coded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sounding {
    /// Which.
    pub(super) what: Sound,
    /// How it was coded.
    pub(super) format: AudioFormat,
}

/// What a peer hears under its agent.
#[derive(Debug)]
pub(super) struct Under {
    /// What belongs under the route's agent.
    ambient: Option<Ambient>,
    /// What the worker has been told last.
    pub(super) told: Option<Wanted>,
}

impl Under {
    /// Of a call whose route says so.
    pub(super) const fn new(ambient: Option<Ambient>) -> Self {
        Self { ambient, told: None }
    }

    /// The worker has been told this before.
    pub(super) fn told(self, told: Option<Wanted>) -> Self {
        Self { told, ..self }
    }
}

/// A sound of ours that will be heard once it is loaded.
#[derive(Clone, Debug)]
pub(super) struct Awaited {
    /// In whose place.
    pub(super) what: Sound,
    /// It was heard already in another format, and goes on.
    pub(super) goes_on: bool,
    /// What is loaded.
    pub(super) wanted: Wanted,
}

/// A sound of ours.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sound {
    /// The built-in agent that is meant now.
    Agent,
    /// Noise until there is an agent.
    Noise,
    /// The route's message.
    Message,
}

impl LiveCall {
    /// When something is due of it.
    pub(super) fn deadline(&self) -> MonoTime {
        if self.ended.is_some() {
            return MonoTime::MAX;
        }
        let transfer =
            self.transfer.as_ref().map_or(MonoTime::MAX, |underway| underway.transfer.deadline());
        let takeover = self.takeover.as_ref().map_or(MonoTime::MAX, |takeover| takeover.answer_by);
        let far = self.far.as_ref().map_or(MonoTime::MAX, |far| far.deadline());
        let coming = self.coming.as_ref().map_or(MonoTime::MAX, |far| far.deadline());
        let third = self.third.as_ref().map_or(MonoTime::MAX, |far| far.deadline());
        let carrier = self.carrier.as_ref().map_or(MonoTime::MAX, |leg| leg.deadline());
        let web = self.web.as_ref().map_or(MonoTime::MAX, |phone| phone.deadline());
        let external = self.external.as_ref().map_or(MonoTime::MAX, |it| it.deadline());
        let pbx = self.pbx.as_ref().map_or(MonoTime::MAX, |line| line.deadline());
        self.call
            .deadline()
            .min(far)
            .min(coming)
            .min(third)
            .min(carrier)
            .min(web)
            .min(pbx)
            .min(external)
            .min(self.parking_deadline())
            .min(transfer)
            .min(takeover)
            .min(self.hold.deadline())
            .min(self.permit.credit().map_or(MonoTime::MAX, |credit| credit.due))
            .min(self.peer_hold.as_ref().map_or(MonoTime::MAX, |hold| hold.due))
            .min(self.info_digits.deadline())
    }

    /// When it has been put aside for long enough. Somebody who is being called for it, or to take
    /// its peer's place, may yet answer; and one that waits for its PBX alone goes nowhere.
    pub(super) fn parking_deadline(&self) -> MonoTime {
        let waits = self.transfer.is_some() || self.takeover.is_some() || self.is_leaving();
        let parked = self.parked.as_ref().filter(|_| !waits);
        parked.map_or(MonoTime::MAX, |parked| parked.deadline())
    }

    /// Whether it is about to end, and waits for its PBX alone.
    pub(super) fn is_leaving(&self) -> bool {
        self.external.as_ref().is_some_and(|external| external.held.is_some())
    }

    /// The leg in this place.
    pub(super) const fn far_at(&self, seat: Seat) -> &Option<Box<Far>> {
        match seat {
            Seat::There => &self.far,
            Seat::Coming => &self.coming,
            Seat::Third => &self.third,
        }
    }

    /// The same, to be changed.
    pub(super) const fn far_at_mut(&mut self, seat: Seat) -> &mut Option<Box<Far>> {
        match seat {
            Seat::There => &mut self.far,
            Seat::Coming => &mut self.coming,
            Seat::Third => &mut self.third,
        }
    }

    /// All of its legs that are on their way to somebody.
    pub(super) fn placings(&mut self) -> impl Iterator<Item = &mut Placing> {
        let legs = [&mut self.far, &mut self.coming, &mut self.third].into_iter().flatten();
        let legs = legs.filter_map(|far| far.leg.as_mut()?.placing.as_deref_mut());
        self.placing.as_deref_mut().into_iter().chain(legs)
    }

    /// The trunk that says how digits are sent, and the dialog that may carry them: no trunk of a
    /// peer that took over, no dialog of one that has refused them.
    pub(super) fn digits_way(&self) -> (Option<&Trunk>, Option<DialogId>) {
        let trunk = self.trunk.as_deref().filter(|_| !self.taken_over);
        (trunk, self.dialog.filter(|_| !self.info_digits.is_refused()))
    }

    /// The format in which sounds for the caller are coded.
    pub(super) fn sounds_in(&self) -> AudioFormat {
        self.format.unwrap_or(DEFAULT_FORMAT).audio.waiting()
    }

    /// The agent that is meant now.
    pub(super) fn current_agent(&self) -> Arc<Agent> {
        match (self.which, &self.fallback) {
            (Which::Fallback, Some(agent)) => Arc::clone(agent),
            _ => Arc::clone(&self.agent),
        }
    }

    /// What the peer hears under whoever talks now; nothing under a message.
    pub(super) fn current_ambient(&self) -> Option<&Ambient> {
        match (self.which, &self.fallback) {
            _ if self.playing_message => None,
            (Which::Fallback, Some(agent)) => agent.ambient.as_ref(),
            _ => self.under.ambient.as_ref(),
        }
    }

    /// Writes our description anew. One that is as before keeps its version; any other has the next
    /// (RFC 3264 8).
    pub(super) fn describe<T, E>(
        &mut self,
        write: impl Fn(&LocalMedia) -> Result<(Vec<u8>, T), E>,
    ) -> Result<T, E> {
        describe(&mut self.media, &mut self.sdp, write)
    }

    /// Milliseconds from the answer to the end, or to `now` while it lasts.
    pub(super) fn duration_ms(&self, now: MonoTime) -> u64 {
        let end = self.ended_at.unwrap_or(now);
        let duration = self.call.answered_at().map(|answered| end.since(answered));
        duration.map_or(0, |duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Name of the trunk, or of the carrier's configuration, that it came or went by.
    pub(super) fn line_name(&self) -> Option<String> {
        let carrier = || Some(self.carrier.as_ref()?.account.name.clone());
        self.trunk.as_ref().map(|trunk| trunk.name.clone()).or_else(carrier)
    }

    /// How long the steps of its frames took so far.
    pub(super) fn stages(&self) -> Vec<StageFigures> {
        self.gauges.stages.read().into_iter().map(StageFigures::from).collect()
    }

    /// What the API tells of it.
    pub(super) fn view(&self, now: MonoTime) -> CallView {
        let state = match (self.ended, self.call.answered_at()) {
            (Some(_), _) => "ending",
            (None, Some(_)) => "answered",
            (None, None) => "ringing",
        };
        CallView {
            id: self.id,
            organisation: self.agent.organisation,
            direction: direction(self.direction),
            state,
            from: self.from.clone(),
            to: self.to.clone(),
            trunk: self.line_name(),
            agent: self.current_agent().name.clone(),
            began_unix_ms: self.began_unix_ms,
            duration_ms: self.duration_ms(now),
            stages: self.stages(),
            record: Record::living(match self.call.answered_at() {
                Some(_) => State::InProgress,
                None => State::Ringing,
            }),
        }
    }
}

/// Writes a leg's description anew. One that is as before keeps its version; any other has the next
/// (RFC 3264 8).
pub(super) fn describe<T, E>(
    media: &mut LocalMedia,
    sdp: &mut Vec<u8>,
    write: impl Fn(&LocalMedia) -> Result<(Vec<u8>, T), E>,
) -> Result<T, E> {
    let (written, settled) = write(media)?;
    if written == *sdp {
        return Ok(settled);
    }
    let mut next = media.clone();
    next.session_version += 1;
    let (written, settled) = write(&next)?;
    (*media, *sdp) = (next, written);
    Ok(settled)
}

/// The word for a direction.
pub(super) const fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}
