//! The agent-facing stream.
