//! One contact of a user.

use std::fmt::Write as _;

use media::time::MonoTime;

use super::connectable;
use crate::sip::core::endpoint::Flow;
use crate::sip::core::uri::Uri;

/// A contact, how long it is kept, and how it is reached.
#[derive(Clone)]
pub struct Binding {
    /// Grows with every refresh.
    pub(super) id: u64,
    pub(super) uri: Box<str>,
    /// Which telephone, and which of its flows (RFC 5626 4.1, 4.2).
    pub(super) instance: Option<Box<str>>,
    pub(super) reg_id: Option<Box<str>>,
    pub(super) q_milli: u16,
    pub(super) expires_at: MonoTime,
    pub(super) call_id: Box<str>,
    pub(super) cseq: u32,
    pub(super) path: Box<[Box<str>]>,
    pub(super) flow: Flow,
}

/// Where a request to a registered user goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The Request-URI.
    pub uri: String,
    /// The way there: where the REGISTER came from.
    pub flow: Flow,
    /// Values of Route, the first hop first (RFC 3327 5.4).
    pub routes: Vec<String>,
    /// How much it is preferred, in thousandths: equals are called at the same time.
    pub q_milli: u16,
}

impl Binding {
    /// As the answer to a REGISTER lists it.
    pub(super) fn listed(&self, now: MonoTime) -> String {
        let left = self.expires_at.since(now);
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let mut text = format!("<{}>", self.uri);
        if self.q_milli != 1000 {
            let _ = write!(text, ";q=0.{:03}", self.q_milli);
        }
        if let Some(instance) = &self.instance {
            let _ = write!(text, ";+sip.instance=\"{instance}\"");
        }
        if let Some(reg_id) = &self.reg_id {
            let _ = write!(text, ";reg-id={reg_id}");
        }
        let _ = write!(text, ";expires={seconds}");
        text
    }

    pub(super) fn target(&self) -> Target {
        let routes = self.path.iter().map(|hop| hop.to_string()).collect();
        Target { uri: self.uri.to_string(), flow: self.flow, routes, q_milli: self.q_milli }
    }

    /// The contact without its connection, if another one to it can be opened.
    pub(super) fn reconnectable(mut self) -> Option<Self> {
        let flow = if self.path.is_empty() {
            connectable(&Uri::parse(&self.uri).ok()?, self.flow)?
        } else {
            return None;
        };
        self.flow = flow;
        Some(self)
    }
}
