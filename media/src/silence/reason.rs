//! Words for why a direction of a call carries no sound.

use std::time::Duration;

/// Which way sound does not flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the peer.
    In,
    /// To the peer.
    Out,
}

impl Way {
    /// Both.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The word for it in events, log lines and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// Declares the reasons once: the word of each, and for people what it is, what that means, and
/// what to do about it.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal {
        $title:literal, $meaning:literal, $advice:literal,
    })+) => {
        /// Why a direction carries no sound.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $variant,)+ }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word for it in events, log lines and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What it is, as a headline for people.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What it means, in sentences for people.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }

            /// The reason that this word names.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.as_str() == word)
            }
        }
    };
}

reasons! {
    /// Not one packet came since the answer.
    NothingArrived = "nothing_arrived" {
        "Nothing arrived from the caller",
        "Not one audio packet has come since the answer.",
        "Open the RTP ports of this server in every firewall on the way, and check that the \
         public address it tells is right.",
    }
    /// Packets came, then no more, and the peer did not look as if it suppressed silence.
    StoppedArriving = "stopped_arriving" {
        "The caller's audio stopped arriving",
        "Packets came, and then no more, without a goodbye.",
        "Look at the network between, or at a far end that died.",
    }
    /// Packets come, but from an address that has no part in the call.
    ForeignSource = "foreign_source" {
        "Audio comes from a stranger and is refused",
        "Packets come from an address that has no part in this call.",
        "Let the far end send from the address that it describes. If you do not know the \
         address, somebody is trying to speak into the call.",
    }
    /// Nothing came, and the peer's description names an address of its private network.
    PrivateAddress = "private_address" {
        "The caller's audio cannot find its way here",
        "The far end described a private address that its signalling did not come from: it sits \
         behind NAT.",
        "Give the phone STUN or its public address, put a session border controller in between, \
         or let it send first.",
    }
    /// Packets come, of a payload type that was not settled.
    PayloadType = "payload_type" {
        "The caller sends a codec that was not agreed",
        "Packets come, with a payload type that was never settled.",
        "Fix the list of codecs at the far end so that it keeps what was agreed.",
    }
    /// Datagrams come that are no RTP.
    NotRtp = "not_rtp" {
        "What arrives is not audio",
        "Datagrams come that are no RTP: ICE or DTLS that was not agreed, or something else \
         that uses the port.",
        "Switch off ICE and DTLS for this peer, or connect it in a way that settles them.",
    }
    /// Packets come, of which none is authentic SRTP: the keys do not fit, or it is no SRTP.
    SrtpAuthentication = "srtp_authentication" {
        "The encrypted audio does not fit its keys",
        "Packets come, and none of them is authentic.",
        "Let both sides settle encryption anew; use the same setting for SRTP at both ends.",
    }
    /// Audio comes in the other law of G.711 than was settled, and sounds like a rasp.
    LawMixup = "law_mixup" {
        "The audio is rasping: A-law and µ-law are mixed up",
        "One law is sent where the other was agreed.",
        "Set the gateway to the law that is agreed in the session description.",
    }
    /// Packets come, and every sample in them is the same: the peer is muted.
    DigitalSilence = "digital_silence" {
        "The caller's side is muted",
        "Packets come, and every sample in them is the same.",
        "The mute button, a dead microphone, or a machine that waits.",
    }
    /// The call was put on hold.
    Hold = "hold" {
        "The call is on hold",
        "The session was two-way and is not now.",
        "The other side resumes it.",
    }
    /// The session was described as one-way from its beginning.
    OneWay = "one_way" {
        "The call is one-way by agreement",
        "The session was described as one-way from its beginning.",
        "Look for sendonly, recvonly or inactive in the far end's offer if that is not meant.",
    }
    /// The agent is connected and has not said anything since the answer.
    AgentSilent = "agent_silent" {
        "The agent has said nothing",
        "It is connected and has sent no sound since the answer.",
        "See whether its model and speech service come up, and let it greet earlier.",
    }
    /// The agent's audio ran dry in mid-utterance.
    Underrun = "underrun" {
        "The agent ran out of audio in mid-sentence",
        "Speech arrives more slowly than it is spoken.",
        "Use a faster speech service, send audio ahead, and end each utterance with a mark.",
    }
    /// The agent muted itself.
    Muted = "muted" {
        "The agent muted itself",
        "It asked not to be heard.",
        "It unmutes itself, or unmute it here.",
    }
    /// There is no agent: its connection was lost, or was never there.
    AgentLost = "agent_lost" {
        "There is no agent",
        "Its socket closed, is being dialled again, or was never reached.",
        "Test the agent and read its log. Its grace period and the route's fallback decide what \
         callers hear meanwhile.",
    }
}

/// A change that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which way.
    pub way: Way,
    /// Why there is, or was, no sound.
    pub reason: Reason,
    /// True while it lasts, false when sound is back (or another reason took over).
    pub silent: bool,
    /// For how long there has been no sound, or had been.
    pub lasted: Duration,
}

/// What one direction went without, over the whole call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Time that was explained by any reason.
    pub total: Duration,
    /// The reason that held longest at a stretch, and for how long.
    pub longest: Option<(Reason, Duration)>,
}
