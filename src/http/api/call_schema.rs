//! What the OpenAPI document tells of calls.

use media::silence::Reason;
use media::stages::Stage;
use serde_json::{Value, json};

use crate::calls::cause::Cause;
use crate::calls::log::{Ending, Speaker, State};
use crate::http::openapi::{Query, schema};
use crate::http::page;

fn text() -> Value {
    json!({"type": "string"})
}

fn figure() -> Value {
    json!({"type": "number"})
}

/// Parameters of the list of calls.
pub(super) fn filters() -> Vec<Query> {
    let filter = |name, schema, description| Query { name, schema, description };
    let mut all = page::parameters();
    all.extend([
        filter("status", schema::text(128), "only with these, as `completed,failed`"),
        filter("living", schema::flag(), "only those that live, or only those that are over"),
        filter("direction", schema::word(&["inbound", "outbound"]), "who called whom"),
        filter("from", schema::text(255), "the calling address"),
        filter("to", schema::text(255), "the called address"),
        filter("agent", schema::text(64), "name of the agent"),
        filter("trunk", schema::text(64), "name of the trunk"),
        filter("configuration_id", schema::format("uuid"), "the configuration"),
        filter("began_from", schema::format("date-time"), "began then or later"),
        filter("began_until", schema::format("date-time"), "began before then"),
    ]);
    all
}

/// A call.
pub(super) fn call_schema() -> Value {
    let time = || schema::nullable(schema::format("date-time"));
    let states: Vec<&str> = State::ALL.iter().map(|state| state.as_str()).collect();
    let by = ["caller", "agent", "network", "carrier", "server"];
    let who = ["human", "machine_start", "machine_end", "fax", "unknown"];
    let cost = || schema::object(&[("amount", text()), ("currency", text())], &[]);
    schema::object(
        &[
            ("id", schema::format("uuid")),
            ("direction", schema::word(&["inbound", "outbound"])),
            ("state", schema::word(&["ringing", "answered", "ending", "ended"])),
            ("from", schema::described(text(), "the calling address")),
            ("to", schema::described(text(), "the called address")),
            ("trunk", schema::nullable(text())),
            ("agent", text()),
            ("began_unix_ms", schema::count()),
            ("duration_ms", schema::described(schema::count(), "from answer to end or now")),
            ("status", schema::word(&states)),
            ("configuration_id", schema::nullable(schema::format("uuid"))),
            ("provider", schema::nullable(text())),
            (
                "carrier_call_id",
                schema::described(schema::nullable(text()), "the carrier's id of it"),
            ),
            ("initiated_at", time()),
            ("queued_at", time()),
            ("ringing_at", time()),
            ("answered_at", time()),
            ("ended_at", time()),
            ("cause", schema::nullable(schema::word(&Cause::WORDS))),
            ("ended_by", schema::nullable(schema::word(&by))),
            ("sip_status", schema::nullable(schema::count())),
            ("q850", schema::nullable(schema::count())),
            ("reason", schema::nullable(text())),
            ("billed_s", schema::nullable(schema::count())),
            ("cost", schema::described(schema::nullable(cost()), "what its carrier takes")),
            (
                "cost_estimate",
                schema::described(
                    schema::nullable(cost()),
                    "what it costs by the table of rates, once it is over",
                ),
            ),
            ("answered_by", schema::nullable(schema::word(&who))),
            (
                "silences",
                schema::described(
                    schema::list(silence_schema()),
                    "why its directions were silent, if they were, once it is over",
                ),
            ),
            ("quality", schema::nullable(quality_schema())),
            (
                "stages",
                schema::described(
                    schema::list(stage_schema()),
                    "the steps of its frames, in the order of their way",
                ),
            ),
            ("is_incomplete", schema::described(schema::flag(), "facts about it were lost")),
            (
                "node",
                schema::described(
                    schema::nullable(schema::format("uuid")),
                    "the server that has it, or had it",
                ),
            ),
        ],
        &[],
    )
}

/// How long a step of frames took.
pub(super) fn stage_schema() -> Value {
    let bound = |about| schema::described(schema::nullable(figure()), about);
    schema::object(
        &[
            ("stage", schema::word(&Stage::ALL.map(Stage::as_str))),
            ("count", schema::described(schema::count(), "frames that were stamped: one in eight")),
            ("p50_us", bound("at most so long took half of them; null beyond all bounds")),
            ("p99_us", bound("at most so long took 99 % of them")),
        ],
        &[],
    )
}

/// What a direction of a call went without.
fn silence_schema() -> Value {
    let words = |about| schema::described(schema::nullable(text()), about);
    schema::object(
        &[
            ("direction", schema::word(&["in", "out"])),
            ("reason", schema::described(text(), "the one that held longest")),
            ("silent_ms", schema::count()),
            ("meaning", words("what the reason means; null for one that is not known here")),
            ("advice", words("what to do about it")),
        ],
        &[],
    )
}

fn quality_schema() -> Value {
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    let silent = || {
        let why = schema::nullable(schema::word(&reasons));
        schema::described(why, "the reason that held longest")
    };
    let figure_or_none = || schema::nullable(figure());
    schema::object(
        &[
            ("packets_in", schema::count()),
            ("packets_out", schema::count()),
            ("lost", schema::count()),
            ("loss", figure()),
            ("jitter_ms", figure()),
            ("mos", figure_or_none()),
            ("remote_mos", figure_or_none()),
            ("round_trip_ms", figure_or_none()),
            ("first_audio_ms", figure_or_none()),
            ("underruns", schema::count()),
            ("agent_skipped", schema::count()),
            ("silence_in", silent()),
            ("silence_in_ms", schema::count()),
            ("silence_out", silent()),
            ("silence_out_ms", schema::count()),
        ],
        &[],
    )
}

/// How the media of a call fared at a moment.
pub(super) fn sample_schema() -> Value {
    schema::object(
        &[
            ("at", schema::format("date-time")),
            ("leg", text()),
            ("loss", figure()),
            ("jitter_ms", figure()),
            ("buffer_ms", schema::count()),
            ("mos", figure()),
        ],
        &[
            ("round_trip_ms", figure()),
            (
                "underruns",
                schema::described(
                    schema::count(),
                    "times so far that the agent had nothing to play in mid-utterance",
                ),
            ),
        ],
    )
}

/// Something that was said on a call.
pub(super) fn spoken_schema() -> Value {
    let who = Speaker::ALL.map(Speaker::as_str);
    schema::object(
        &[
            ("at", schema::described(schema::format("date-time"), "when it began")),
            ("who", schema::word(&who)),
            ("played_ms", schema::described(schema::count(), "how much of it was heard")),
            ("dropped_ms", schema::described(schema::count(), "how much of it was not")),
            (
                "outcome",
                schema::described(
                    schema::word(&Ending::WORDS),
                    "played: all was heard; cleared: the rest was dropped, as the agent or the \
                     API wished; ended: the call ended, or another agent took it",
                ),
            ),
            (
                "waited_ms",
                schema::described(
                    schema::nullable(schema::count()),
                    "from the end of what the other side had said, if the agent is told of speech",
                ),
            ),
            (
                "utterance",
                schema::described(schema::nullable(text()), "the agent's id of the last of it"),
            ),
        ],
        &[],
    )
}

/// What happened to a call.
pub(super) fn event_schema() -> Value {
    schema::object(
        &[
            ("id", text()),
            ("type", schema::described(text(), "such as `call.answered`")),
            ("at", schema::format("date-time")),
            ("call_id", schema::format("uuid")),
            ("source", schema::word(&["node", "carrier", "watchdog"])),
            ("data", schema::any_object()),
        ],
        &[],
    )
}

/// A call to be placed.
pub(super) fn place_schema() -> Value {
    let seconds = || schema::nullable(schema::count());
    schema::object(
        &[
            ("to", schema::described(text(), "a SIP URI, or a number")),
            ("agent", schema::described(text(), "name of the agent that talks")),
        ],
        &[
            ("trunk", schema::nullable(text())),
            ("telephony_configuration_id", schema::nullable(schema::format("uuid"))),
            ("from", schema::nullable(text())),
            (
                "from_name",
                schema::described(schema::nullable(text()), "the name displayed beside it"),
            ),
            (
                "privacy",
                schema::described(
                    schema::nullable(schema::word(&["none", "id"])),
                    "whether the caller is withheld from the called party",
                ),
            ),
            (
                "headers",
                schema::described(
                    schema::texts(),
                    "SIP headers to add to the INVITE, as far as the trunk lets them out",
                ),
            ),
            ("amd", schema::described(schema::flag(), "a carrier tells who answered, if it can")),
            ("ring_timeout_s", schema::described(seconds(), "how long it may ring")),
            ("max_duration_s", schema::described(seconds(), "how long it may last")),
            ("variables", schema::texts()),
        ],
    )
}
