//! The media connections that are spoken when audio does not come by RTP.

use super::fields;
use crate::stream::{Stream, StreamStart};
use crate::{audiosocket, media_socket};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    // Keys are told by events, whatever carries the audio.
    let digits = false;
    let format = media_socket::format(fields::format(&start.config));
    match fields::way(&start.config) {
        fields::Way::AudioSocket => {
            let rate_hz = format.map(|format| format.rate_hz);
            audiosocket::open(audiosocket::Options { digits, rate_hz })
        }
        _ => media_socket::open(media_socket::Options { digits, format }),
    }
}
