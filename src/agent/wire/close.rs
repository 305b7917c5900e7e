//! Why the server closes an agent's socket.

/// The close codes of the native protocol (RFC 6455 7.4; 4000 and up are the protocol's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum CloseCode {
    /// The call ended.
    CallEnded = 1000,
    /// This server is going away; calls are being drained.
    Draining = 1001,
    /// A text message was not JSON.
    NotJson = 1007,
    /// The agent kept sending what makes no sense.
    Nonsense = 1008,
    /// A message was longer than 64 KiB.
    TooBig = 1009,
    /// `configure` asked for what does not exist, or came too late, or twice.
    ConfigureRefused = 4400,
    /// The agent could not prove who it is.
    Unauthorized = 4401,
    /// There is no such call.
    NoSuchCall = 4404,
    /// The handshake took too long.
    HandshakeTooSlow = 4408,
    /// A newer socket of the same call took over.
    Replaced = 4409,
}

impl CloseCode {
    /// Every code, in order.
    pub const ALL: [Self; 10] = [
        Self::CallEnded,
        Self::Draining,
        Self::NotJson,
        Self::Nonsense,
        Self::TooBig,
        Self::ConfigureRefused,
        Self::Unauthorized,
        Self::NoSuchCall,
        Self::HandshakeTooSlow,
        Self::Replaced,
    ];

    /// The number in the close frame.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The text in the close frame.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::CallEnded => "call ended",
            Self::Draining => "draining",
            Self::NotJson => "not JSON",
            Self::Nonsense => "repeated nonsense",
            Self::TooBig => "message over 64 KiB",
            Self::ConfigureRefused => "configure refused",
            Self::Unauthorized => "authentication",
            Self::NoSuchCall => "no such call",
            Self::HandshakeTooSlow => "handshake too slow",
            Self::Replaced => "replaced by a newer socket",
        }
    }
}
