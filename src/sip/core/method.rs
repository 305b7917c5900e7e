//! Request methods.

use std::fmt;

use super::lex;

/// The method of a request: RFC 3261 and the extensions that the IANA registry names.
/// Methods are case-sensitive (RFC 3261 section 7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Method {
    /// Acknowledges a final response to INVITE (RFC 3261).
    Ack,
    /// Ends a dialog (RFC 3261).
    Bye,
    /// Withdraws an INVITE that has no final response yet (RFC 3261).
    Cancel,
    /// Carries application data within a dialog (RFC 6086).
    Info,
    /// Opens or changes a session (RFC 3261).
    Invite,
    /// Carries a text message (RFC 3428).
    Message,
    /// Reports an event to a subscriber (RFC 6665).
    Notify,
    /// Asks for capabilities (RFC 3261).
    Options,
    /// Acknowledges a reliable provisional response (RFC 3262).
    Prack,
    /// Publishes event state (RFC 3903).
    Publish,
    /// Asks the peer to contact a third party (RFC 3515).
    Refer,
    /// Binds an address of record to a contact (RFC 3261).
    Register,
    /// Subscribes to an event (RFC 6665).
    Subscribe,
    /// Changes a session without a new INVITE (RFC 3311).
    Update,
    /// A method that this list does not know; its text as received.
    Other(Box<str>),
}

impl Method {
    /// The method that `text` names; anything unknown is [`Method::Other`].
    pub fn from_token(text: &str) -> Self {
        match text {
            "ACK" => Self::Ack,
            "BYE" => Self::Bye,
            "CANCEL" => Self::Cancel,
            "INFO" => Self::Info,
            "INVITE" => Self::Invite,
            "MESSAGE" => Self::Message,
            "NOTIFY" => Self::Notify,
            "OPTIONS" => Self::Options,
            "PRACK" => Self::Prack,
            "PUBLISH" => Self::Publish,
            "REFER" => Self::Refer,
            "REGISTER" => Self::Register,
            "SUBSCRIBE" => Self::Subscribe,
            "UPDATE" => Self::Update,
            other => Self::Other(other.into()),
        }
    }

    /// The method as it stands in a start line.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Info => "INFO",
            Self::Invite => "INVITE",
            Self::Message => "MESSAGE",
            Self::Notify => "NOTIFY",
            Self::Options => "OPTIONS",
            Self::Prack => "PRACK",
            Self::Publish => "PUBLISH",
            Self::Refer => "REFER",
            Self::Register => "REGISTER",
            Self::Subscribe => "SUBSCRIBE",
            Self::Update => "UPDATE",
            Self::Other(text) => text,
        }
    }

    /// Whether the method is one of those this list names.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other(_))
    }

    /// Whether the text of the method may be written into a start line.
    pub(crate) fn is_writable(&self) -> bool {
        lex::is_token(self.as_str())
    }
}

impl From<&str> for Method {
    fn from(text: &str) -> Self {
        Self::from_token(text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
