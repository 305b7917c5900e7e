//! SIP without I/O: messages, transactions, dialogs, offers and answers.

pub mod offer_answer;
pub mod sdp;
pub mod transaction;
