//! SIP without I/O: messages, transactions, dialogs, offers and answers.

pub mod transaction;
