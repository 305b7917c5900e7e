//! What changes in the directory while calls live.

use std::io;
use std::sync::Arc;

use super::Control;
use crate::directory::Trunk;
use crate::listen::tls::{ClientFiles, ClientTls};
use crate::workers::poller::now;

impl Control {
    /// Another snapshot of the directory holds: what is kept about trunks follows it. Calls that
    /// live keep what they began with.
    pub(super) fn directory_changed(&mut self) {
        if let Err(error) = self.update_trunks() {
            tracing::error!(%error, "trunks do not register as they should");
        }
        self.review_links();
    }

    /// Lets TLS towards trunks be as they say. What is made of files is read anew by whoever
    /// watches these.
    fn update_tls(&mut self, trunks: &[Arc<Trunk>]) {
        let wants = |trunk: &&Arc<Trunk>| trunk.tls != ClientFiles::default();
        let mut before = std::mem::take(&mut self.trunk_tls);
        for trunk in trunks.iter().filter(wants) {
            let known = before.remove(&trunk.id).filter(|tls| *tls.files() == trunk.tls);
            match known.map_or_else(|| ClientTls::new(trunk.tls.clone()).map(Arc::new), Ok) {
                Ok(tls) => drop(self.trunk_tls.insert(trunk.id, tls)),
                // It was tried before the trunk came here.
                Err(error) => tracing::error!(trunk = trunk.label, %error, "TLS of a trunk"),
            }
        }
    }

    /// Lets what is kept about trunks follow the directory.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers: our contacts with registrars could be guessed.
    pub(super) fn update_trunks(&mut self) -> io::Result<()> {
        let snapshot = self.directory.load();
        self.update_tls(&snapshot.trunks);
        let gone = self.trunks.update(&snapshot.trunks, now());
        gone.iter().for_each(|label| self.metrics.sip.trunk_gone(label));
        for trunk in &snapshot.trunks {
            self.metrics.sip.trunk_up(&trunk.label, self.trunks.is_up(trunk.id));
        }
        self.update_registrations(&snapshot.trunks)
    }
}
