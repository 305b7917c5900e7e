//! Calls that take the place of others (RFC 3891), and what asks a peer for one.

use super::Endpoint;
use super::call::State;
use super::event::DialogId;
use super::ids::{tag_number, tag_text};
use super::receive::NO_DIALOG;
use super::table::Handle;
use crate::sip::core::headers::HeaderName;
use crate::sip::core::message::Message;
use crate::sip::core::replaces::Replaces;
use crate::sip::core::validate::Refusal;

/// The tag that stands for none (RFC 3891 6.1).
const NO_TAG: &str = "0";

impl Endpoint {
    /// The call that a new call of the peer is to replace, if it says so and that call still lives.
    /// Whoever calls may be allowed to or not: that is for the user to judge.
    pub fn replaces(&self, dialog: DialogId) -> Option<DialogId> {
        let replaced = self.calls.get(dialog.0)?.replaces?;
        self.calls.get(replaced).map(|_| DialogId(replaced))
    }

    /// What makes the peer of this call accept somebody in its place: the peer's URI, and the value
    /// of Replaces. None unless the call is answered.
    pub fn replacement(&self, dialog: DialogId) -> Option<(String, String)> {
        let call = self.calls.get(dialog.0).filter(|call| call.state == State::Confirmed)?;
        let ours = tag_text(call.tag);
        let replaces = Replaces {
            call_id: call.dialog.call_id(),
            to_tag: call.dialog.remote_tag().unwrap_or(NO_TAG),
            from_tag: &ours,
            early_only: false,
        };
        Some((call.dialog.target().to_owned(), replaces.to_string()))
    }

    /// Who opened a call, if that was proven.
    pub fn proven(&self, dialog: DialogId) -> Option<&str> {
        self.calls.get(dialog.0)?.proof.as_ref().map(|proof| &*proof.user)
    }

    /// Our own address in a call, as From or To has it.
    pub fn local_uri(&self, dialog: DialogId) -> Option<&str> {
        self.calls.get(dialog.0)?.dialog.local_uri()
    }

    /// The peer's Contact: where it is reached.
    pub fn target(&self, dialog: DialogId) -> Option<&str> {
        self.calls.get(dialog.0).map(|call| call.dialog.target())
    }

    /// The call that an INVITE is to replace (RFC 3891 3).
    pub(super) fn replaced(&self, request: &Message) -> Result<Option<Handle>, Refusal> {
        let mut all = request.headers(HeaderName::Replaces);
        let Some(text) = all.next() else { return Ok(None) };
        if all.next().is_some() || request.header(HeaderName::Join).is_some() {
            return Err(Refusal::new(400, "Contradictory Replaces"));
        }
        let replaces =
            Replaces::parse(text).map_err(|_| Refusal::new(400, "Malformed Replaces"))?;
        let found = tag_number(replaces.to_tag).and_then(|tag| self.call_tags.get(&tag).copied());
        let (handle, call) =
            found.and_then(|handle| Some((handle, self.calls.get(handle)?))).ok_or(NO_DIALOG)?;
        let from = Some(replaces.from_tag);
        let none = (replaces.from_tag == NO_TAG).then_some(None);
        let tags = [Some(from), none];
        let known =
            tags.into_iter().flatten().any(|tag| call.dialog.matches(replaces.call_id, tag));
        // Before the answer the callee's tag is not settled; our own, which only it knows, decides.
        let early = call.state == State::Calling && call.dialog.call_id() == replaces.call_id;
        match call.state {
            State::Calling if early => Ok(Some(handle)),
            // Only who placed a call may be asked to replace it before its answer.
            State::Calling | State::Incoming => Err(NO_DIALOG),
            _ if !known => Err(NO_DIALOG),
            State::Confirmed if call.parting.is_some() => Err(Refusal::new(603, "Decline")),
            State::Confirmed if replaces.early_only => Err(Refusal::new(486, "Busy Here")),
            State::Confirmed => Ok(Some(handle)),
            State::Cancelling | State::Closing => Err(Refusal::new(603, "Decline")),
        }
    }
}
