//! Media Streams as this carrier speaks them: the call is the session, ids and numbers of messages
//! may be missing, and nobody has shown that marks come back.

use super::fields::is_domain;
use crate::media_streams::{self, Rules};
use crate::stream::{Stream, StreamStart};

const RULES: Rules = Rules {
    // `callSid` is an id of the media side, which the API does not know.
    call: "start.session",
    names_call: false,
    names_stream: false,
    is_account: |config, account| is_domain(config, account) != Some(false),
    marks: |config| config.text("marks") == Some("carrier"),
};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    media_streams::open(start, RULES)
}
