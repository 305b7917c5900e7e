//! A carrier that controls calls by webhooks and sends their audio over WebSockets, as much of it
//! as a load partner needs: written from what the carrier documents, independently of the server.

pub(crate) mod carrier;
pub(crate) mod http;
pub(crate) mod rest;
pub(crate) mod sign;
pub(crate) mod talk;
