//! Sounds are coded few at a time: each may take as much memory as a call's queue holds, and a core
//! for a while.

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// Sounds that are coded at once.
const AT_ONCE_MAX: usize = 4;

static AT_ONCE: Semaphore = Semaphore::const_new(AT_ONCE_MAX);

/// Does `work` on a thread of its own once it is its turn; `None` if the server ends.
pub(super) async fn in_turn<T: Send + 'static>(
    io: &Handle,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    // Never closed. The turn goes along with the work, which nothing breaks off.
    let turn = AT_ONCE.acquire().await.ok()?;
    let working = io.spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    });
    working.await.ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// However many sounds are to be coded, so many are at once and no more.
    #[tokio::test]
    async fn few_at_once() {
        let barrier = Arc::new(Barrier::new(AT_ONCE_MAX));
        let (working, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let io = Handle::current();
        let all: Vec<_> = (0..AT_ONCE_MAX * 8)
            .map(|_| {
                let (io, barrier) = (io.clone(), Arc::clone(&barrier));
                let (working, most) = (Arc::clone(&working), Arc::clone(&most));
                tokio::spawn(async move {
                    in_turn(&io, move || {
                        most.fetch_max(
                            working.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        // As many as may be are here together.
                        barrier.wait();
                        working.fetch_sub(1, Ordering::SeqCst);
                    })
                    .await
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), Some(()));
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE_MAX);
    }
}
