//! A neighbour that burns a CPU: what calls suffer from it is what is asked.

use std::process::{Child, Command, Stdio};

use crate::error::{PerfError, Result};
use crate::sys::sched;

/// What it does, for ever.
const BURN: &str = "while :; do :; done";

/// A process in a session of its own, at the usual priority; it ends when this is dropped.
pub(crate) struct Neighbour {
    child: Child,
}

impl Neighbour {
    /// Starts it on this CPU.
    pub(crate) fn start(cpu: usize) -> Result<Self> {
        let mut command = Command::new("sh");
        command.args(["-c", BURN]).stdin(Stdio::null()).stdout(Stdio::null());
        sched::pin_command(&mut command, cpu);
        sched::own_session(&mut command);
        let child = command.spawn().map_err(PerfError::io("starting the neighbour"))?;
        let neighbour = Self { child };
        // Our priority is not its own. Whoever may not change that has had none to give.
        let _ = sched::set_nice(neighbour.pid(), 0);
        Ok(neighbour)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        // It may have ended of itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock;
    use crate::sys::proc;

    /// It takes CPU time, and is gone afterwards.
    #[test]
    fn burns_and_goes() {
        let neighbour = Neighbour::start(0).expect("start");
        let pid = neighbour.pid();
        let end = clock::mono_ns() + 20 * clock::SECOND_NS;
        while proc::process(pid).cpu_ns < 5_000_000 {
            assert!(clock::mono_ns() < end, "it does nothing");
            std::thread::yield_now();
        }
        drop(neighbour);
        assert_eq!(proc::process(pid).cpu_ns, 0);
    }
}
