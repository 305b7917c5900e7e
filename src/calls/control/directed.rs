//! What changes in the directory while calls live.

use std::io;

use super::Control;
use crate::workers::poller::now;

impl Control {
    /// Another snapshot of the directory holds: what is kept about trunks follows it. Calls that
    /// live keep what they began with.
    pub(super) fn directory_changed(&mut self) {
        if let Err(error) = self.update_trunks() {
            tracing::error!(%error, "trunks do not register as they should");
        }
    }

    /// Lets what is kept about trunks follow the directory.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers: our contacts with registrars could be guessed.
    pub(super) fn update_trunks(&mut self) -> io::Result<()> {
        let snapshot = self.directory.load();
        let gone = self.trunks.update(&snapshot.trunks, now());
        gone.iter().for_each(|label| self.metrics.sip.trunk_gone(label));
        for trunk in &snapshot.trunks {
            self.metrics.sip.trunk_up(&trunk.label, self.trunks.is_up(trunk.id));
        }
        self.update_registrations(&snapshot.trunks)
    }
}
