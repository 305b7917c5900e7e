//! The leg of a telephone at the agent's end of a call, and one that is called to come there.

use std::sync::Arc;

use adapters::agent::StreamFormat;
use media::srtp::SrtpKeys;
use media::time::MonoTime;

use super::control::Placing;
use super::digits::InfoDigits;
use super::hold::Hold;
use crate::directory::Trunk;
use crate::outward::Outward;
use crate::quota::Permit;
use crate::sip::core::endpoint::DialogId;
use crate::sip::core::offer_answer::{LocalMedia, Negotiated, SrtpPolicy};
use crate::workers::command::RtpSockets;

/// What a leg is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is the agent of its call.
    Agent,
    /// It is to have, or has, the place of an agent that handed its call over.
    Transfer,
}

/// Where a leg stands; a call has at most one in each place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seat {
    /// At the agent's end, or called to be the agent.
    There,
    /// Called by a transfer; whoever has the agent's end stays there until that has succeeded.
    Coming,
    /// It has joined the peer and whoever is at the agent's end.
    Third,
}

/// How three came to talk in a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    /// The transfer by which they did.
    pub(super) transfer: uuid::Uuid,
    /// The agent is not heard.
    pub(super) listens: bool,
}

impl Seat {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::There, Self::Coming, Self::Third];
}

/// What holds of a leg that a peer asked for by REFER.
#[derive(Clone)]
pub(super) struct Referral {
    /// Fields that its INVITE gets.
    pub(super) headers: Vec<(String, String)>,
    /// How far it reaches.
    pub(super) outward: Outward,
    /// What is demanded about SRTP with whoever asked.
    pub(super) srtp: Option<SrtpPolicy>,
}

/// Whom to call.
#[derive(Clone)]
pub(super) struct Dial {
    /// A SIP URI, the name of a user, or with a trunk a number.
    pub(super) to: String,
    /// Name of the trunk.
    pub(super) trunk: Option<String>,
    /// User part of our From; the caller's if absent.
    pub(super) from: Option<String>,
    /// The caller hears what comes before the answer.
    pub(super) early_media: bool,
    /// What holds besides if a peer asked for it.
    pub(super) referral: Option<Box<Referral>>,
}

/// Which ways audio may go, from our view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flows {
    /// We may send.
    pub(super) sends: bool,
    /// We may be sent something.
    pub(super) receives: bool,
    /// Comfort noise (RFC 3389) may be among it.
    pub(super) noise: bool,
}

impl Default for Flows {
    fn default() -> Self {
        Self { sends: true, receives: true, noise: false }
    }
}

/// A leg at the agent's end: while its servers are looked up, while it is called, and after.
pub(super) struct Far {
    /// Tells it from others that were called for the same call.
    pub(super) attempt: u64,
    pub(super) purpose: Purpose,
    pub(super) dial: Dial,
    /// It has answered, and is told what it is about before it gets the call.
    pub(super) aside: bool,
    /// It rings, and whoever wanted it has been told.
    pub(super) told_ringing: bool,
    /// The peer is on hold because this leg put us on hold.
    pub(super) holds_peer: bool,
    /// The peer holds it, and sends nothing to it though it may.
    pub(super) hears_nothing: bool,
    /// Its trunk, and its place there.
    pub(super) trunk: Option<Arc<Trunk>>,
    pub(super) permit: Option<Permit>,
    /// Once it is called.
    pub(super) leg: Option<FarLeg>,
}

/// A leg that is called, or talks.
pub(super) struct FarLeg {
    pub(super) dialog: DialogId,
    /// Where else it may be called, until it answers.
    pub(super) placing: Option<Box<Placing>>,
    /// What we can do on it, and our description.
    pub(super) media: LocalMedia,
    pub(super) sdp: Vec<u8>,
    /// Its ports, until the worker has them.
    pub(super) sockets: Option<RtpSockets>,
    pub(super) signalling: std::net::IpAddr,
    /// It has answered.
    pub(super) up: bool,
    /// What was settled last.
    pub(super) settled: Option<Negotiated>,
    pub(super) format: Option<StreamFormat>,
    pub(super) srtp: Option<Arc<SrtpKeys>>,
    pub(super) flows: Flows,
    /// We made the offer in our answer to its change, so the ACK brings the answer.
    pub(super) delayed_offer: bool,
    pub(super) hold: Hold,
    /// Keys that it is told of by INFO.
    pub(super) info_digits: InfoDigits,
    /// Whether it is on hold, and hears a sound of ours.
    pub(super) mirrored: (bool, bool),
}

impl FarLeg {
    /// A leg of which no more is known than that it begins.
    pub(super) fn new(
        dialog: DialogId,
        media: LocalMedia,
        sdp: Vec<u8>,
        sockets: RtpSockets,
        signalling: std::net::IpAddr,
    ) -> Self {
        Self {
            dialog,
            placing: None,
            media,
            sdp,
            sockets: Some(sockets),
            signalling,
            up: false,
            settled: None,
            format: None,
            srtp: None,
            flows: Flows::default(),
            delayed_offer: false,
            hold: Hold::default(),
            info_digits: InfoDigits::default(),
            mirrored: (false, false),
        }
    }
}

impl Far {
    /// One that is to be called.
    pub(super) const fn new(attempt: u64, purpose: Purpose, dial: Dial) -> Self {
        Self {
            attempt,
            purpose,
            dial,
            aside: false,
            told_ringing: false,
            holds_peer: false,
            hears_nothing: false,
            trunk: None,
            permit: None,
            leg: None,
        }
    }

    /// When something is due of it.
    pub(super) fn deadline(&self) -> MonoTime {
        let due = |leg: &FarLeg| leg.hold.deadline().min(leg.info_digits.deadline());
        let credit = self.permit.as_ref().and_then(Permit::credit);
        let renewed = credit.map_or(MonoTime::MAX, |credit| credit.due);
        self.leg.as_ref().map_or(MonoTime::MAX, due).min(renewed)
    }
}
