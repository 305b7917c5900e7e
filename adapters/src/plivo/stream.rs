//! The media dialect, with one format for both directions.

use media::codec::AudioFormat;

use super::fields;
use crate::play_audio::{self, Variant};
use crate::stream::{Stream, StreamStart};

static VARIANT: Variant = Variant {
    heard: |config, told| match told {
        None => Some(fields::audio(config)),
        Some(("audio/x-mulaw", 8000)) => Some(AudioFormat::PCMU),
        Some(("audio/x-l16", rate_hz @ (8000 | 16_000 | 24_000))) => {
            Some(fields::linear(config, rate_hz))
        }
        Some(_) => None,
    },
    said: |_, heard| heard,
    content_type: fields::content_type,
    names_stream: false,
    says_stop: true,
    presses_keys: true,
    clears_late: false,
};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    play_audio::open(start, &VARIANT)
}
