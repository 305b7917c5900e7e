//! Agents and what callers hear of them, end to end.

#[path = "../support/mod.rs"]
mod support;

mod agent_loss;
mod agent_tls;
mod ambient;
mod links;
mod listening;
mod recording;
mod rtp_agent;
mod silence;
mod sound_parts;
mod voicemail;
mod web_phone;
