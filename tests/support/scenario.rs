//! What SIPp does in a call, put together from steps: requests, responses, news of a transfer.

use super::server::Server;
use super::sipp::{Run, Sipp};

/// SIPp calls, and once that is answered does what `then` says.
#[track_caller]
pub fn in_call(server: &Server, headers: &str, then: &str, media_port: Option<u16>) -> Sipp {
    let (formats, maps) = super::sipp::PCMU;
    let fields = [("FORMATS", formats), ("MAPS", maps), ("HEADERS", headers), ("THEN", then)];
    let scenario = "in_call.xml";
    Run { scenario, fields: &fields, user: "bot", media_port, ..Run::default() }.call(server)
}

/// A NOTIFY of SIPp with this status line and state, and the response to it.
pub fn news(cseq: u32, status: &str, state: &str) -> String {
    format!(
        r#"<send retrans="500"><![CDATA[

      NOTIFY [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: "SIPp" <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} NOTIFY
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      Event: refer
      Subscription-State: {state}
      Content-Type: message/sipfrag;version=2.0
      Content-Length: [len]

      SIP/2.0 {status}

    ]]></send><recv response="200"/>"#
    )
}

/// A response of SIPp to the last request.
pub fn respond(answer: &str) -> String {
    format!(
        r#"<send><![CDATA[

      SIP/2.0 {answer}
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0

    ]]></send>"#
    )
}

/// The server hangs up.
pub fn server_ends() -> String {
    format!(r#"<recv request="BYE"/>{}"#, respond("200 OK"))
}

/// A request of SIPp within its call, and its 200.
pub fn request(method: &str, cseq: u32, headers: &str) -> String {
    format!(
        r#"<send retrans="500"><![CDATA[

      {method} [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: "SIPp" <sip:sipp@[local_ip]:[local_port]>;tag=[pid]-[call_number]
      To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} {method}
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      {headers}Content-Length: 0

    ]]></send>"#
    )
}

/// A change of the server with this direction, answered with that one.
pub fn change(direction: &str, answer: &str) -> String {
    format!(
        r#"<recv request="INVITE"><action>
      <ereg regexp="a={direction}" search_in="body" check_it="true" assign_to="{direction}"/>
    </action></recv><Reference variables="{direction}"/><send retrans="500"><![CDATA[

      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Content-Type: application/sdp
      Content-Length: [len]

      v=0
      o=sipp 53655765 2353687638 IN IP4 [local_ip]
      s=-
      c=IN IP4 [local_ip]
      t=0 0
      m=audio @PORT@ RTP/AVP 0
      a=rtpmap:0 PCMU/8000
      a={answer}

    ]]></send><recv request="ACK"/>"#
    )
}
