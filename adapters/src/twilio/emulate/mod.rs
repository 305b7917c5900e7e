//! Twilio in miniature.
