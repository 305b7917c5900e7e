//! The SIP core, as it is configured.

use crate::config::Config;
use crate::sip::core::Method;
use crate::sip::core::endpoint::{Endpoint, EndpointConfig, Limits};
use crate::sip::core::transaction::timers::Timers;

/// Methods that peers may use: REGISTER only if there is somebody who may register.
fn allowed(config: &Config) -> Vec<Method> {
    let mut methods = EndpointConfig::default().allow;
    if config.users.iter().any(|user| user.password.is_some()) {
        methods.push(Method::Register);
    }
    methods
}

/// Our side of every dialog, as configured.
pub(super) fn endpoint(config: &Config) -> Endpoint {
    let sip = &config.sip;
    let max_calls = usize::try_from(config.limits.max_calls).unwrap_or(usize::MAX);
    let settings = EndpointConfig {
        user_agent: sip.user_agent.clone(),
        timers: Timers { t1: sip.timers.t1, t2: sip.timers.t2, t4: sip.timers.t4 },
        session_timer: sip.session_timer,
        limits: Limits {
            // Calls that are being taken apart still have a place.
            calls_max: max_calls.saturating_mul(2),
            ..Limits::default()
        },
        allow: allowed(config),
        ..EndpointConfig::default()
    };
    let mut seed = [0; 8];
    // Without randomness tags could be guessed; the clock is the best that is left then.
    let seed = match getrandom::fill(&mut seed) {
        Ok(()) => u64::from_ne_bytes(seed),
        Err(_) => crate::workers::poller::now().as_nanos(),
    };
    Endpoint::new(settings, seed)
}
