//! Metrics of the sockets that the streams of many calls share.

use std::fmt::Error;

use super::exposition::{NONE, Out};
use super::worker::Counter;
use crate::workers::mux::LinkMetrics;

/// Writes what they came to.
pub(super) fn links(out: &mut Out<'_>, links: &LinkMetrics) -> Result<(), Error> {
    out.gauges(
        "talkpath_agent_links",
        "Sockets that the streams of many calls share",
        [(NONE, links.links.get() as f64)],
    )?;
    out.gauges(
        "talkpath_agent_link_streams",
        "Streams on these sockets",
        [(NONE, links.streams.get() as f64)],
    )?;
    let ways = |(first, second): (&Counter, &Counter)| {
        [([("direction", "in")], first.get()), ([("direction", "out")], second.get())]
    };
    out.counters(
        "talkpath_agent_link_messages",
        "Messages of audio on these sockets",
        ways((&links.messages_in, &links.messages_out)),
    )?;
    out.counters(
        "talkpath_agent_link_frames",
        "Frames in these messages",
        ways((&links.frames_in, &links.frames_out)),
    )?;
    out.counters(
        "talkpath_agent_link_messages_skipped",
        "Messages of audio that were skipped as an agent read too slowly",
        [(NONE, links.skipped.get())],
    )?;
    out.counters(
        "talkpath_agent_link_pauses",
        "Times that a link was not read as its calls were behind",
        [(NONE, links.pauses.get())],
    )
}
