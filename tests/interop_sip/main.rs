//! SIP with programs that we did not write.

#[path = "../support/mod.rs"]
mod support;

mod attended;
mod auth;
mod baresip;
mod joined;
mod linphone;
mod pjsip;
mod proxy;
mod session;
mod sipp;
mod srtp;
mod tls;
mod transfer;
mod transfer_baresip;
