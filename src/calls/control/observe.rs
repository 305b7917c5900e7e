//! What a call leaves in the log while it lasts.

use media::silence::{Notice, Reason, Way};

use super::Control;
use crate::calls::log::What;
use crate::workers::command::CallKey;

impl Control {
    /// A direction of a call carries no sound any more, or does again.
    pub(super) fn silence(&mut self, key: CallKey, notice: Notice) {
        let call = self.calls.get_mut(&key).filter(|call| call.ended.is_none());
        let Some(call) = call else { return };
        let (direction, reason) = (notice.way.as_str(), notice.reason.as_str());
        let since_ms = u64::try_from(notice.lasted.as_millis()).unwrap_or(u64::MAX);
        match (notice.silent, notice.reason) {
            (true, Reason::Hold | Reason::Muted | Reason::OneWay) => {
                tracing::info!(parent: &call.span, direction, reason, since_ms, "silence");
            }
            (true, _) => {
                let (meaning, advice) = (notice.reason.meaning(), notice.reason.advice());
                tracing::warn!(
                    parent: &call.span, direction, reason, since_ms, meaning, advice, "silence"
                );
            }
            (false, _) => {
                tracing::info!(parent: &call.span, direction, reason, since_ms, "silence over");
            }
        }
        let holder = (notice.way, notice.reason) == (Way::In, Reason::Hold);
        if let (true, Some(far)) = (holder, call.far.as_mut()) {
            far.hears_nothing = notice.silent;
            self.mirror_hold(key);
        }
        let (direction, reason) = (direction.to_owned(), reason.to_owned());
        self.log_fact(key, What::Silence { direction, reason, silent: notice.silent, since_ms });
    }
}
