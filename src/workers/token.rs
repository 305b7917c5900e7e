//! What a ready socket belongs to.

/// A socket's part in its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The peer's RTP.
    Rtp = 0,
    /// The peer's RTCP.
    Rtcp = 1,
    /// The agent.
    Agent = 2,
    /// A socket that is being closed.
    Linger = 3,
    /// The RTCP of the other leg, if the call joins two.
    AgentRtcp = 4,
    /// The RTP of a leg aside.
    Aside = 5,
    /// The RTCP of a leg aside.
    AsideRtcp = 6,
    /// The carrier's media socket.
    Line = 7,
    /// The RTP of a leg that has joined the call.
    Guest = 8,
    /// The RTCP of a leg that has joined the call.
    GuestRtcp = 9,
    /// A socket that many calls share.
    Link = 10,
    /// A carrier's media socket whose call is over.
    Parting = 11,
}

/// Tokens of the poller: generation and index of the call, and the socket's part in it. The
/// generation tells a call from the one that had its index before, of which events may still be at
/// hand.
pub(super) struct Token;

const PART_BITS: u32 = 4;
const PART_MASK: u64 = (1 << PART_BITS) - 1;
const INDEX_BITS: u32 = 24;

/// Calls a worker can have.
pub(super) const CALLS_PER_WORKER_MAX: usize = 1 << INDEX_BITS;

impl Token {
    /// The token of a call, to be completed by [`Token::part`].
    pub(super) const fn call(index: usize, generation: u32) -> u64 {
        (generation as u64) << (INDEX_BITS + PART_BITS) | (index as u64) << PART_BITS
    }

    /// The token of one of a call's sockets.
    pub(super) const fn part(call: u64, part: Part) -> u64 {
        call | part as u64
    }

    /// The call's part of a token, its index, and the part.
    pub(super) const fn split(token: u64) -> (u64, usize, Part) {
        let part = match token & PART_MASK {
            0 => Part::Rtp,
            1 => Part::Rtcp,
            2 => Part::Agent,
            4 => Part::AgentRtcp,
            5 => Part::Aside,
            6 => Part::AsideRtcp,
            7 => Part::Line,
            8 => Part::Guest,
            9 => Part::GuestRtcp,
            10 => Part::Link,
            11 => Part::Parting,
            _ => Part::Linger,
        };
        let index = (token >> PART_BITS) as usize & (CALLS_PER_WORKER_MAX - 1);
        (token & !PART_MASK, index, part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is put together comes apart again, at the ends of every range.
    #[test]
    fn tokens_come_apart() {
        for index in [0, 1, CALLS_PER_WORKER_MAX - 1] {
            for generation in [0, 1, u32::MAX] {
                let call = Token::call(index, generation);
                for part in [
                    Part::Rtp,
                    Part::Rtcp,
                    Part::Agent,
                    Part::Linger,
                    Part::AgentRtcp,
                    Part::Aside,
                    Part::AsideRtcp,
                    Part::Line,
                    Part::Guest,
                    Part::GuestRtcp,
                    Part::Link,
                    Part::Parting,
                ] {
                    let token = Token::part(call, part);
                    assert!(token < u64::MAX - 1, "reserved by the poller");
                    assert_eq!(Token::split(token), (call, index, part));
                }
            }
        }
    }
}
