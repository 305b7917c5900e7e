//! The closed sets that labels of metrics come from.
//!
//! A label is never free text: a peer that could choose one could fill the memory of whoever
//! collects the metrics.

/// Declares a set of label values, which also index arrays of counters.
macro_rules! labels {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// All values in order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The label.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            /// Place in an array of [`Self::COUNT`].
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels! {
    /// What is forgotten after a while.
    Forgotten {
        /// Calls that are over.
        Calls = "calls",
        /// Their facts.
        CallEvents = "call_events",
        /// How their media fared.
        Quality = "quality",
        /// Their SIP messages, of those that were captured.
        Messages = "messages",
        /// Messages that callers have left.
        Voicemails = "voicemails",
        /// Webhooks that were delivered.
        Deliveries = "deliveries",
        /// Webhooks that were given up.
        DeadDeliveries = "dead_deliveries",
        /// Who changed what.
        Audit = "audit",
        /// The sound of calls.
        Recordings = "recordings",
    }
}

labels! {
    /// What moves through a worker.
    Kind {
        /// RTP packets of peers.
        Rtp = "rtp",
        /// RTCP packets of peers.
        Rtcp = "rtcp",
        /// Audio frames of agents.
        AgentAudio = "agent_audio",
        /// Control messages of agents.
        AgentControl = "agent_control",
        /// Audio messages of carriers.
        LineAudio = "line_audio",
        /// Control messages of carriers.
        LineControl = "line_control",
    }
}

labels! {
    /// Why a worker dropped something.
    DropReason {
        /// It came from an address that has no part in the call.
        Foreign = "foreign",
        /// It is not authentic: forged, damaged, or made with another key.
        Unauthentic = "unauthentic",
        /// It is authentic, but was seen before.
        Replayed = "replayed",
        /// It is not what its kind demands.
        Malformed = "malformed",
        /// Its payload type was not negotiated.
        PayloadType = "payload_type",
        /// It came twice.
        Duplicate = "duplicate",
        /// It came after its time.
        Late = "late",
        /// The playout queue was full: the agent sent more than may wait.
        QueueFull = "queue_full",
        /// The agent did not read fast enough.
        SlowAgent = "slow_agent",
        /// The carrier did not read fast enough.
        SlowLine = "slow_line",
        /// The kernel's send buffer was full.
        SocketFull = "socket_full",
        /// No agent was connected.
        NoAgent = "no_agent",
    }
}

labels! {
    /// Who called whom.
    CallDirection {
        /// The call came to us.
        Inbound = "inbound",
        /// We placed the call.
        Outbound = "outbound",
    }
}

labels! {
    /// Methods of SIP requests; the registered ones are few, the others are one.
    SipMethod {
        /// INVITE.
        Invite = "invite",
        /// ACK.
        Ack = "ack",
        /// BYE.
        Bye = "bye",
        /// CANCEL.
        Cancel = "cancel",
        /// OPTIONS.
        Options = "options",
        /// REGISTER.
        Register = "register",
        /// INFO.
        Info = "info",
        /// UPDATE.
        Update = "update",
        /// Everything else.
        Other = "other",
    }
}

impl SipMethod {
    /// The label of the method called `name` (methods are case-sensitive, RFC 3261 7.1).
    pub fn from_name(name: &str) -> Self {
        match name {
            "INVITE" => Self::Invite,
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "OPTIONS" => Self::Options,
            "REGISTER" => Self::Register,
            "INFO" => Self::Info,
            "UPDATE" => Self::Update,
            _ => Self::Other,
        }
    }
}

labels! {
    /// First digit of a status, of SIP and HTTP.
    StatusClass {
        /// 1xx.
        Provisional = "1xx",
        /// 2xx.
        Success = "2xx",
        /// 3xx.
        Redirection = "3xx",
        /// 4xx.
        Client = "4xx",
        /// 5xx.
        Server = "5xx",
        /// 6xx.
        Global = "6xx",
    }
}

impl StatusClass {
    /// The class of `status`; what is no status counts as the server's fault.
    pub const fn of(status: u16) -> Self {
        match status / 100 {
            1 => Self::Provisional,
            2 => Self::Success,
            3 => Self::Redirection,
            4 => Self::Client,
            6 => Self::Global,
            _ => Self::Server,
        }
    }
}

labels! {
    /// What the signalling layer threw away.
    SipDrop {
        /// It could not be read, and no response was possible.
        Malformed = "malformed",
        /// A response or ACK that belongs to nothing.
        Stray = "stray",
        /// A table was full.
        Overload = "overload",
        /// A retransmission, answered from memory.
        Retransmission = "retransmission",
    }
}

labels! {
    /// What came of digest authentication of those who call and register.
    SipAuth {
        /// The password was known.
        Proven = "proven",
        /// Credentials were asked for: the first request of everybody is.
        Challenged = "challenged",
        /// The credentials were wrong.
        Failed = "failed",
        /// Not looked at: too many from that address were wrong.
        Slowed = "slowed",
    }
}

labels! {
    /// How dialling an agent ended.
    DialOutcome {
        /// Connected.
        Connected = "connected",
        /// Connected again after a loss.
        Resumed = "resumed",
        /// Nobody there.
        Unreachable = "unreachable",
        /// The agent refused the handshake.
        Refused = "refused",
        /// Too slow.
        TimedOut = "timed_out",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Indices count from zero in the order of `ALL`, and no label occurs twice.
    #[test]
    fn labels_index_arrays() {
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::COUNT);
    }

    /// Methods and statuses find their label, unknown ones the catch-all.
    #[test]
    fn free_values_fall_into_the_set() {
        assert_eq!(SipMethod::from_name("INVITE"), SipMethod::Invite);
        assert_eq!(SipMethod::from_name("invite"), SipMethod::Other);
        assert_eq!(SipMethod::from_name("X\"} 1\n"), SipMethod::Other);
        assert_eq!(StatusClass::of(180), StatusClass::Provisional);
        assert_eq!(StatusClass::of(603), StatusClass::Global);
        assert_eq!(StatusClass::of(0), StatusClass::Server);
        assert_eq!(StatusClass::of(u16::MAX), StatusClass::Server);
    }
}

labels! {
    /// What became of a request to a carrier.
    ExchangeOutcome {
        /// It was carried out.
        Done = "done",
        /// The carrier refused it.
        Refused = "refused",
        /// The carrier asks for fewer requests.
        Slowed = "slowed",
        /// The carrier failed.
        Failed = "failed",
        /// The carrier could not be reached.
        Unreached = "unreached",
        /// No answer came in time, or none that could be read.
        Unanswered = "unanswered",
    }
}

labels! {
    /// What became of a request of a carrier.
    HookOutcome {
        /// It was understood and acted upon.
        Taken = "taken",
        /// It is about no call that lives.
        Late = "late",
        /// No configuration has such an address.
        Unknown = "unknown",
        /// It is not proven to be the carrier's.
        Forged = "forged",
        /// It is proven, but is not understood.
        Malformed = "malformed",
        /// The server could not act upon it.
        Failed = "failed",
    }
}
