//! `Debug` of what holds an address with a token: whoever reads it could take the call's sound.

use std::fmt;

use crate::flow::FlowStart;
use crate::hook::{HookReply, Take};
use crate::op::Originate;

impl fmt::Debug for Originate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Originate");
        shown.field("to", &self.to).field("from", &self.from).finish_non_exhaustive()
    }
}

impl fmt::Debug for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Take").field("hooks", &self.hooks).finish_non_exhaustive()
    }
}

impl fmt::Debug for FlowStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("FlowStart");
        shown.field("direction", &self.direction).field("call", &self.call);
        shown.field("to", &self.to).field("from", &self.from).finish_non_exhaustive()
    }
}

/// A document for a carrier names the stream's address.
impl fmt::Debug for HookReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookReply")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::StatusCode;

    use super::*;
    use crate::address::Address;
    use crate::agent::Direction;
    use crate::config::RawConfig;
    use crate::hook::HookUrls;

    /// The token of a stream shows nowhere.
    #[test]
    fn tokens_of_streams_are_not_shown() {
        const URL: &str = "wss://t.example/planted";
        let to = Address::parse("+4930123456", None).unwrap();
        let hooks = HookUrls::new("https://t.example", "acme", "planted");
        let originate = Originate {
            to: to.clone(),
            from: None,
            stream_url: URL.to_owned(),
            hooks: hooks.clone(),
            ring_timeout_s: 30,
            max_duration_s: 60,
            detect_machine: false,
            extra: Vec::new(),
        };
        let take = Take { stream_url: URL.to_owned(), hooks: hooks.clone() };
        let start = FlowStart {
            config: RawConfig::default(),
            direction: Direction::Inbound,
            call: None,
            to,
            from: None,
            stream_url: URL.to_owned(),
            hooks,
        };
        let reply = HookReply {
            status: StatusCode::OK,
            content_type: "application/xml",
            body: Bytes::from_static(b"planted"),
        };
        for shown in [
            format!("{originate:?}"),
            format!("{take:?}"),
            format!("{start:?}"),
            format!("{reply:?}"),
        ] {
            assert!(!shown.contains("planted") && !shown.contains("112"), "{shown}");
        }
    }
}
