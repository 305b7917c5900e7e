//! The request that a REFER makes: how many hops it may still take, so that transfers that lead
//! back to us end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "test")]

use crate::support;

use std::net::SocketAddr;

use support::gateway::{Gateway, Manner};
use support::line::header;
use support::phone::Phone;
use support::server::Server;

/// Asks for a transfer to `to`; the status of the answer must be this.
#[track_caller]
fn refer(phone: &mut Phone, to: SocketAddr, status: u16) {
    phone.ask_to_refer(&format!("sip:next@{to}"));
    phone.wait_status(status);
}

/// Waits until the phone is told that the new party is busy.
#[track_caller]
fn told_busy(phone: &mut Phone) {
    while !phone.wait_request("NOTIFY ").contains("SIP/2.0 486") {}
}

/// Each transfer leaves its call a hop less, beginning with what its INVITE had; the one that would
/// leave none is refused (RFC 3261 16.3, 483), and the call goes on with its peer.
#[test]
fn transfers_use_up_hops() {
    let server = Server::start("");
    let next = Gateway::start(Manner::Refuses("486 Busy Here"));
    let forwards = || header(next.heard("INVITE ").last().unwrap(), "Max-Forwards").to_owned();

    let mut phone = Phone::up(&server, "echo");
    refer(&mut phone, next.address, 202);
    told_busy(&mut phone);
    assert_eq!(forwards(), "69", "one less than the INVITE had");
    refer(&mut phone, next.address, 202);
    told_busy(&mut phone);
    assert_eq!(forwards(), "68");
    phone.hang_up();

    let mut phone = Phone::call_with_hops(server.sip, "echo", 2);
    phone.wait_answer();
    refer(&mut phone, next.address, 202);
    told_busy(&mut phone);
    assert_eq!(forwards(), "1");
    let before = next.heard("INVITE ").len();
    refer(&mut phone, next.address, 483);
    assert_eq!(next.heard("INVITE ").len(), before, "nobody was called");
    assert!(!phone.is_over());
    phone.hang_up();

    // None is left from the beginning: such a call is not even taken.
    Phone::call_with_hops(server.sip, "echo", 0).wait_refusal(483);
    server.wait_idle();
    server.stop();
}
