//! What is to be written into the files of an Asterisk, for the configuration at hand. No secret is
//! in it.

use super::fields::{Way, chosen, way};
use super::reverse::wanted;
use crate::config::RawConfig;
use crate::flow::Piece;
use crate::hook::{EVENT_SOCKET, HookUrls};

/// The section of the socket of events that Asterisk opens.
const EVENTS: &str = "talkpath-events";
/// Stands where the name will be once the configuration has one.
const UNNAMED: &str = "NAME-OF-THE-APPLICATION";

pub(super) fn pieces(config: &RawConfig, hooks: &HookUrls) -> Vec<Piece> {
    let base = hooks.base();
    let user = config.text("username").unwrap_or("talkpath");
    let app = config.text("app").unwrap_or(UNNAMED);
    let dials = wanted(config);
    let out = match dials {
        true => format!(
            "\n[{user}-events]\ntype = outbound_websocket\nwebsocket_client_id = {EVENTS}\n\
             apps = {app}\nlocal_ari_user = {user}\n"
        ),
        false => String::new(),
    };
    let mut pieces = vec![
        piece("http.conf", &format!("[general]\nenabled = yes\nbindaddr = {}\n", bound(config))),
        piece(
            "ari.conf",
            &format!(
                "[general]\nenabled = yes\n\n[{user}]\ntype = user\nread_only = no\n\
                 password = THE-PASSWORD-ENTERED-HERE\n{out}"
            ),
        ),
        piece(
            "extensions.conf",
            &format!(
                "; Calls of this context go to the agents of their numbers. What stands behind\n\
                 ; Stasis is for when nobody is there to take them.\n[talkpath]\n\
                 exten => _[+0-9].,1,Stasis({app},${{EXTEN}})\n \
                 same => n,GotoIf($[\"${{STASISSTATUS}}\" = \"FAILED\"]?fallback)\n \
                 same => n,Hangup()\n same => n(fallback),Congestion(5)\n same => n,Hangup()\n"
            ),
        ),
        piece("pjsip.conf", &telephones(config)),
    ];
    let mut clients = Vec::new();
    if dials {
        let (uri, tls) = (socket(&hooks.url(EVENT_SOCKET)), tls(base));
        clients.push(format!(
            "[{EVENTS}]\ntype = websocket_client\nconnection_type = persistent\nuri = {uri}\n\
             protocols = ari\nusername = {user}\npassword = THE-PASSWORD-ENTERED-HERE\n{tls}"
        ));
    }
    // Where the way is left open, the section is what makes this one possible.
    let opens = chosen(config).is_none().then(|| config.text("ws_client")).flatten();
    if way(config) == Way::WebSocketClient || opens.is_some() {
        let section = config.text("ws_client").unwrap_or("talkpath");
        let uri = socket(&format!("{base}/api/v1/telephony/ws/ari"));
        let tls = tls(base);
        let text = format!(
            "[{section}]\ntype = websocket_client\nconnection_type = per_call_config\nuri = {uri}\n\
             protocols = media\n{tls}"
        );
        clients.push(text);
    }
    if !clients.is_empty() {
        pieces.push(piece("websocket_client.conf", &clients.join("\n")));
    }
    pieces
}

/// The address of a socket at an address of ours.
fn socket(url: &str) -> String {
    url.replacen("http", "ws", 1)
}

/// What a section needs beside an address that is encrypted.
fn tls(base: &str) -> &'static str {
    if base.starts_with("https:") { "tls_enabled = yes\n" } else { "" }
}

fn piece(file: &'static str, text: &str) -> Piece {
    Piece { file, text: text.to_owned() }
}

/// The address that its server of HTTP has to listen on, as far as the configuration tells.
fn bound(config: &RawConfig) -> &str {
    let url = config.text("ari_url").unwrap_or_default();
    let host = url.split("://").nth(1).unwrap_or_default();
    if host.starts_with("127.") || host.starts_with("localhost") { "127.0.0.1" } else { "0.0.0.0" }
}

/// What of a telephone's or trunk's endpoint matters: where its calls go, and the codec that spares
/// a conversion.
fn telephones(config: &RawConfig) -> String {
    let codec = match super::fields::format(config) {
        "alaw" => "alaw",
        "ulaw" | "slin" => "ulaw",
        _ => "g722,ulaw",
    };
    format!(
        "; In the endpoints whose calls are for agents:\n; context = talkpath\n; allow = {codec}\n; \
         direct_media = no\n"
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::rest::config;
    use super::*;

    /// The application stands in the dialplan, the password nowhere, and the client's section is
    /// there where it is needed.
    #[test]
    fn pieces_fit_the_configuration() {
        let text = |config: &RawConfig| -> String {
            let hooks = HookUrls::new("https://t.example/pbx", "ari", "tok");
            let pieces = pieces(config, &hooks);
            pieces.iter().map(|piece| format!("{}\n{}", piece.file, piece.text)).collect()
        };
        let shown = text(&config());
        assert!(shown.contains("Stasis(voiceapp,${EXTEN})") && shown.contains("[talkpath]\ntype"));
        assert!(!shown.contains("pw\n") && !shown.contains("websocket_client"));
        let mut stored = config().expose().clone();
        stored.insert("media".to_owned(), "websocket_client".into());
        stored.insert("ws_client".to_owned(), "media_out".into());
        let shown = text(&RawConfig::from_stored(stored.clone().into()).unwrap());
        assert!(shown.contains("uri = wss://t.example/pbx/api/v1/telephony/ws/ari\n"));
        assert!(shown.contains("[media_out]\n") && shown.contains("tls_enabled = yes"));
        assert!(!shown.contains("tok\n") && !shown.contains("outbound_websocket"));
        stored.insert("events".to_owned(), "outbound".into());
        let shown = text(&RawConfig::from_stored(stored.into()).unwrap());
        assert!(
            shown.contains("uri = wss://t.example/pbx/api/v1/telephony/ari/event-socket/tok\n")
        );
        assert!(shown.contains("websocket_client_id = talkpath-events\napps = voiceapp\n"));
        assert!(shown.contains("[media_out]\n") && !shown.contains("pw\n"));
    }
}
