//! The media dialect, each direction in a format of its own. There is no word for the end: the
//! socket is closed.

use media::codec::AudioFormat;

use super::fields;
use crate::play_audio::{self, Variant};
use crate::stream::{Stream, StreamStart};

static VARIANT: Variant = Variant {
    heard: |config, told| match told {
        None => Some(fields::heard(config)),
        Some(("audio/x-mulaw", 8000)) => Some(AudioFormat::PCMU),
        Some(("audio/x-l16", rate_hz @ (8000 | 16_000 | 24_000))) => {
            Some(fields::linear(config, rate_hz))
        }
        Some(_) => None,
    },
    said: |config, _| fields::said(config),
    content_type: fields::content_type,
    names_stream: true,
    says_stop: false,
    presses_keys: false,
    clears_late: true,
};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    play_audio::open(start, &VARIANT)
}
