//! Media Streams, as the carrier that made them speaks them.

use crate::media_streams::{self, Rules};
use crate::stream::{Stream, StreamStart};

const RULES: Rules = Rules {
    call: "start.callSid",
    names_call: true,
    names_stream: true,
    is_account: |config, account| {
        config.text("account_sid").is_none_or(|expected| expected == account)
    },
    marks: |_| true,
};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    media_streams::open(start, RULES)
}
