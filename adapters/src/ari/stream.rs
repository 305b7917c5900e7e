//! The media connections that are spoken when audio does not come by RTP.

use super::fields;
use crate::stream::{Stream, StreamStart};
use crate::{audiosocket, media_socket};

pub(super) fn open(start: &StreamStart) -> Box<dyn Stream> {
    // Keys are told by events, whatever carries the audio.
    let digits = false;
    match fields::way(&start.config) {
        fields::Way::AudioSocket => audiosocket::open(audiosocket::Options { digits }),
        _ => {
            let format = media_socket::format(fields::format(&start.config));
            media_socket::open(media_socket::Options { digits, format })
        }
    }
}
