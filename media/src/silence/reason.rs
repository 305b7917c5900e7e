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

/// Declares the reasons with their words, once.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)+) => {
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
        }
    };
}

reasons! {
    /// Not one packet came since the answer.
    NothingArrived = "nothing_arrived",
    /// Packets came, then no more, and the peer did not look as if it suppressed silence.
    StoppedArriving = "stopped_arriving",
    /// Packets come, but from an address that has no part in the call.
    ForeignSource = "foreign_source",
    /// Nothing came, and the peer's description names an address of its private network.
    PrivateAddress = "private_address",
    /// Packets come, of a payload type that was not settled.
    PayloadType = "payload_type",
    /// Datagrams come that are no RTP.
    NotRtp = "not_rtp",
    /// Packets come, of which none is authentic SRTP: the keys do not fit, or it is no SRTP.
    SrtpAuthentication = "srtp_authentication",
    /// Audio comes in the other law of G.711 than was settled, and sounds like a rasp.
    LawMixup = "law_mixup",
    /// Packets come, and every sample in them is the same: the peer is muted.
    DigitalSilence = "digital_silence",
    /// The call was put on hold.
    Hold = "hold",
    /// The session was described as one-way from its beginning.
    OneWay = "one_way",
    /// The agent is connected and has not said anything since the answer.
    AgentSilent = "agent_silent",
    /// The agent's audio ran dry in mid-utterance.
    Underrun = "underrun",
    /// The agent muted itself.
    Muted = "muted",
    /// There is no agent: its connection was lost, or was never there.
    AgentLost = "agent_lost",
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
