//! A file that is on its way for a call.

use tokio::task::AbortHandle;

/// A file that is being fetched; given up when dropped, as nobody waits for it then.
#[derive(Debug)]
pub(super) struct Fetching(AbortHandle);

impl Fetching {
    /// That which this task fetches.
    pub(super) const fn new(task: AbortHandle) -> Self {
        Self(task)
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What nobody waits for is given up.
    #[tokio::test]
    async fn given_up_when_dropped() {
        let task = tokio::spawn(std::future::pending::<()>());
        drop(Fetching::new(task.abort_handle()));
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
