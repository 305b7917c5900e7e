//! `[[routes]]`: which agent takes a call.

use std::path::PathBuf;
use std::time::Duration;

use super::ambient::{Ambient, ambient};
use super::keep::{Keep, keep};
use super::section::Section;
use super::server::MAX_DURATION_S_MAX;
use crate::routing::{Callers, Conditions, PRIORITY, Pattern, Schedule, ScheduleError, Window};

/// One rule: calls to these numbers go to this agent.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteConfig {
    /// Called numbers or users.
    pub to: Pattern,
    /// Only calls from this trunk.
    pub trunk: Option<String>,
    /// The lower, the earlier it is looked at.
    pub priority: u16,
    /// Its share among its equals, if calls are shared by lot.
    pub weight: Option<u32>,
    /// When it takes calls, and whose.
    pub conditions: Conditions,
    /// Name of the agent; it exists.
    pub agent: String,
    /// What the caller gets when the agent cannot be reached or is lost.
    pub fallback: Fallback,
    /// True if the agent decides when the call is answered.
    pub agent_answers: bool,
    /// True if an agent that decides so is heard before the answer.
    pub early_media: bool,
    /// Longest call.
    pub max_duration: Duration,
    /// What callers hear under the agent: what the route says, else what its agent says.
    pub ambient: Option<Ambient>,
    /// What of its calls is kept: what the route says, then what its agent says.
    pub keep: Keep,
}

/// What the caller gets when the agent cannot be reached, or is lost and does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The call ends: 480 before the answer, BYE after it.
    Hangup,
    /// Another agent, which exists, takes over; its own failure ends the call.
    Agent(String),
    /// A WAV file is played, then the call ends.
    Message(PathBuf),
}

/// A route as written, before names are looked up.
pub(super) struct RouteDraft<'r> {
    pub(super) section: Section<'r>,
    pub(super) to: Option<Pattern>,
    pub(super) trunk: Option<String>,
    pub(super) priority: u16,
    pub(super) weight: Option<u32>,
    pub(super) conditions: Conditions,
    pub(super) agent: Option<String>,
    pub(super) fallback_agent: Option<String>,
    pub(super) fallback: Fallback,
    pub(super) agent_answers: Option<bool>,
    pub(super) early_media: Option<bool>,
    pub(super) max_duration: Option<Duration>,
    pub(super) ambient: Option<Ambient>,
    pub(super) keep: Keep,
}

pub(super) fn route(section: Section<'_>) -> RouteDraft<'_> {
    for (key, why) in [("to", Pattern::ALLOWED), ("agent", "the agent that takes the calls")] {
        if !section.has(key) {
            section.missing(key, why);
        }
    }
    let named = |key| {
        section.text(key, "a name", |text| match text {
            "" => Err("empty".to_owned()),
            text => Ok(text.to_owned()),
        })
    };
    let to = section.text("to", Pattern::ALLOWED, Pattern::parse);
    let (trunk, agent) = (named("trunk"), named("agent"));
    let priority = section.number("priority", 0..=u32::from(u16::MAX));
    let priority = priority.and_then(|number| number.try_into().ok()).unwrap_or(PRIORITY);
    let weight = section.number("weight", 0..=1_000_000);
    let conditions = conditions(&section);
    let fallback_agent = named("fallback_agent");
    let message = section.file("fallback_message");
    if section.has("fallback_agent") && section.has("fallback_message") {
        let message = "a route falls back on an agent or on a message, not on both";
        section.conflict("fallback_message", message.to_owned());
    }
    let agent_answers = section.flag("agent_answers");
    let early_media = section.flag("early_media");
    let max_duration = section.seconds("max_duration_s", 1..=MAX_DURATION_S_MAX);
    let ambient = ambient(&section);
    let keep = keep(&section);
    let fallback = message.map_or(Fallback::Hangup, Fallback::Message);
    RouteDraft {
        section,
        to,
        trunk,
        priority,
        weight,
        conditions,
        agent,
        fallback_agent,
        fallback,
        agent_answers,
        early_media,
        max_duration,
        ambient,
        keep,
    }
}

/// When a route takes calls, and whose.
fn conditions(section: &Section<'_>) -> Conditions {
    let patterns = |key| section.list(key, Pattern::ALLOWED, Pattern::parse).unwrap_or_default();
    let callers = Callers { only: patterns("callers"), except: patterns("callers_except") };
    Conditions { schedule: schedule(section), callers }
}

fn schedule(section: &Section<'_>) -> Option<Schedule> {
    let none = |what: &'static str| move |_: ScheduleError| what.to_owned();
    let windows = section.list("open", WINDOW, |text| {
        Window::parse(text).map(|_| text.to_owned()).map_err(none("no window"))
    });
    let days = |text: &str| {
        let schedule = Schedule::parse("UTC", ["00:00-24:00"], [text]);
        schedule.map(|_| text.to_owned()).map_err(none("no day"))
    };
    let closed = section.list("closed", "days, such as \"2026-12-24\" or \"12-25\"", days);
    let zone = section.text("time_zone", "a name such as \"Europe/Berlin\"", |text| {
        let schedule = Schedule::parse(text, ["00:00-24:00"], []);
        schedule.map(|_| text.to_owned()).map_err(none("no time zone has this name"))
    });
    let Some(windows) = windows else {
        for key in ["closed", "time_zone"] {
            if section.has(key) && !section.has("open") {
                section.conflict(key, "means nothing without open".to_owned());
            }
        }
        return None;
    };
    // What is wrong with each window has been told.
    if windows.is_empty() {
        return None;
    }
    let closed = closed.unwrap_or_default();
    let zone = zone.as_deref().unwrap_or("UTC");
    match Schedule::parse(zone, texts(&windows), texts(&closed)) {
        Ok(schedule) => Some(schedule),
        Err(error) => {
            section.conflict("open", error.to_string());
            None
        }
    }
}

fn texts(list: &[String]) -> impl Iterator<Item = &str> {
    list.iter().map(String::as_str)
}

const WINDOW: &str = "windows, such as \"mon-fri 09:00-17:30\" or \"22:00-06:00\"";
