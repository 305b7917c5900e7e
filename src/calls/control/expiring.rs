//! Calls that end soon, as they reach a limit.

use std::time::Duration;

use uuid::Uuid;

use super::Control;
use super::effects::millis;
use super::transferring::is_talking;
use crate::calls::call::Plan;
use crate::calls::cause::Cause;
use crate::calls::log::What;
use crate::calls::sounds::Sounds;
use crate::directory::Agent;
use crate::quota::budget::Budgets;
use crate::workers::command::{CallKey, Command, Steer};
use crate::workers::play::PlaySound;
use crate::workers::poller::now;

impl Control {
    /// How a call is treated within the limits of its agent and its organisation.
    pub(super) fn within_limits(&self, mut plan: Plan, agent: &Agent) -> Plan {
        let organisation = self.directory.load().longest(agent.organisation);
        for longest in [agent.length.longest, organisation].into_iter().flatten() {
            plan.max_duration = plan.max_duration.min(longest);
        }
        plan
    }

    /// These organisations have spent what they may, and have no new calls; the calls of those that
    /// soon will have end then.
    pub(super) fn budgets(&mut self, budgets: Budgets) {
        let Budgets { gone, short, balances, mark } = budgets;
        self.quota.spend(gone);
        self.credits.learn(mark, &balances);
        for (organisation, left) in &short {
            let own = self.calls.values().filter(|it| it.agent.organisation == *organisation);
            let keys: Vec<CallKey> = own.map(|call| call.key).collect();
            for key in keys {
                self.shorten(key, *left);
            }
        }
    }

    /// A call that talks ends so soon, unless it does sooner anyway.
    pub(super) fn shorten(&mut self, key: CallKey, left: Duration) {
        let Some(call) = self.calls.get_mut(&key).filter(|call| call.ended.is_none()) else {
            return;
        };
        let mut effects = std::mem::take(&mut self.effects);
        call.call.shorten(now(), left, Cause::BudgetSpent, &mut effects);
        self.reschedule(key);
        self.perform(key, &mut effects);
        self.effects = effects;
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
