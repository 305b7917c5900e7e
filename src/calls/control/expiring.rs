//! Calls that end soon, as they reach a limit.

use std::time::Duration;

use uuid::Uuid;

use super::Control;
use super::effects::millis;
use super::transferring::is_talking;
use crate::calls::call::Plan;
use crate::calls::log::What;
use crate::calls::sounds::Sounds;
use crate::directory::Agent;
use crate::workers::command::{CallKey, Command, Steer};
use crate::workers::play::PlaySound;

impl Control {
    /// How a call is treated within the limits of its agent and its organisation.
    pub(super) fn within_limits(&self, mut plan: Plan, agent: &Agent) -> Plan {
        let organisation = self.directory.load().longest(agent.organisation);
        for longest in [agent.length.longest, organisation].into_iter().flatten() {
            plan.max_duration = plan.max_duration.min(longest);
        }
        plan
    }

    /// A call ends soon: its agent is told, and its peer hears it if the agent wants that.
    pub(super) fn expiring(&mut self, key: CallKey, left: Duration) {
        let left_ms = millis(left);
        self.log_fact(key, What::Expiring { left_ms });
        let Some(call) = self.calls.get(&key) else { return };
        let worker = call.worker;
        let tone = call.current_agent().length.tone && is_talking(call);
        let format = call.sounds_in();
        self.command(worker, Command::Expiring { call: key, left_ms });
        if tone {
            let sound = PlaySound { id: Uuid::now_v7(), sound: Sounds::notice(format), format };
            self.command(worker, Command::Steer { call: key, steer: Steer::Play(sound) });
        }
    }
}
