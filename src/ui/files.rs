//! The files, each by its path.

use super::pages::File;

macro_rules! files {
    ($($path:literal)+) => {
        /// How many there are.
        const COUNT: usize = [$($path),+].len();
        /// All files of the pages.
        pub(super) static FILES: [File; COUNT] = [$(File::new(
            $path,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/ui/", $path)),
        )),+];
    };
}

files! {
    "app.js"
    "icon.svg"
    "index.html"
    "lib/api.js"
    "lib/audio.js"
    "lib/clock.js"
    "lib/dom.js"
    "lib/events.js"
    "lib/format.js"
    "lib/icons.js"
    "lib/metrics.js"
    "lib/router.js"
    "lib/theme.js"
    "lib/unsaved.js"
    "lib/wav.js"
    "lib/words.js"
    "pages/agents.js"
    "pages/audit.js"
    "pages/call.js"
    "pages/calls.js"
    "pages/connection.js"
    "pages/connections.js"
    "pages/health.js"
    "pages/keys.js"
    "pages/live.js"
    "pages/queues.js"
    "pages/routes.js"
    "pages/sign_in.js"
    "pages/start.js"
    "pages/voicemails.js"
    "pages/webhooks.js"
    "parts/agent_form.js"
    "parts/basic.js"
    "parts/call_controls.js"
    "parts/call_log.js"
    "parts/call_recording.js"
    "parts/call_speech.js"
    "parts/call_story.js"
    "parts/chart.js"
    "parts/connection_form.js"
    "parts/connectivity.js"
    "parts/dialog.js"
    "parts/fields.js"
    "parts/form.js"
    "parts/ladder.js"
    "parts/meter.js"
    "parts/numbers.js"
    "parts/phone.js"
    "parts/phone_panel.js"
    "parts/place_call.js"
    "parts/shell.js"
    "parts/spending.js"
    "parts/stages.js"
    "parts/table.js"
    "parts/timeline.js"
    "parts/toast.js"
    "parts/transfer_form.js"
    "parts/trunks.js"
    "parts/vlist.js"
    "parts/waveform.js"
    "style.css"
    "worklet.js"
}
