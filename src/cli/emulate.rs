//! Arguments of `talkpath emulate`.

use std::net::SocketAddr;
use std::path::PathBuf;

use adapters::secret::Secret;
use clap::Args;

/// Arguments of `talkpath emulate`.
#[derive(Args, Clone, Debug)]
pub struct EmulateArgs {
    /// Name of the carrier as `talkpath provider list` prints it.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Address of the server. One whose public address (http.public_url) is another one gets its
    /// webhooks there.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub server: String,
    /// API key of the server that may change its configurations (scope admin).
    #[arg(
        long,
        value_name = "KEY",
        env = "TALKPATH_API_KEY",
        hide_env_values = true,
        value_parser = secret
    )]
    pub key: Secret,
    /// The agent that takes the calls.
    #[arg(long, value_name = "NAME", default_value = "echo")]
    pub agent: String,
    /// Number of the account at the carrier: the one that is called, or called from.
    #[arg(long, value_name = "NUMBER", default_value = "+15550100001")]
    pub number: String,
    /// Number of the person at the other end.
    #[arg(long, value_name = "NUMBER", default_value = "+15550100002")]
    pub person: String,
    /// A field of the configuration that is made at the server, such as media=audiosocket; may be
    /// given again and again.
    #[arg(long = "field", value_name = "NAME=VALUE", value_parser = field)]
    pub fields: Vec<(String, String)>,
    /// Where the carrier's API listens; on a port that is free if that is 0.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Let the server place a call to the person, instead of a call of the person's.
    #[arg(long)]
    pub outbound: bool,
    /// Place no call: answer those that the server places, until Ctrl-C.
    #[arg(long, conflicts_with = "outbound")]
    pub wait: bool,
    /// WAV file that the person says; a test signal that measures the latency if absent.
    #[arg(long, value_name = "WAV")]
    pub play: Option<PathBuf>,
    /// WAV file to write what the person hears to.
    #[arg(long, value_name = "WAV", conflicts_with = "wait")]
    pub record: Option<PathBuf>,
    /// When the person hangs up; after the file that is said, or 5 seconds, if absent.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: Option<u32>,
    /// Keys that the person presses once audio flows, one each half second.
    #[arg(long, value_name = "KEYS", default_value = "", value_parser = keys)]
    pub press: String,
    /// Something that goes wrong or differs; may be given again and again.
    ///
    /// burst=N: frames come N at once. frame=N: they have N bytes. alaw: they are A-law, whatever
    /// was agreed. mark-delay=MS, marks-lost: marks come back late, or never. hooks-twice,
    /// hooks-swapped, hooks-lost: webhooks about the state of a call come twice, in the wrong
    /// order, or never. cut=MS: the media socket is cut off so long after it began. answer=MS: a
    /// called person answers after so long. machine=WORD: that answers, in the carrier's word.
    /// fail=OPERATION:FAULT: one request of that kind (originate, hangup, transfer, status,
    /// numbers, bind, provision, record, test) is answered with a status from 400 to 599, with
    /// nonsense (malformed), or not at all: after it was carried out (silent), or without (lost).
    #[arg(long = "quirk", value_name = "QUIRK", verbatim_doc_comment)]
    pub quirks: Vec<String>,
    /// Show each request between carrier and server.
    #[arg(long, conflicts_with = "json")]
    pub verbose: bool,
    /// Print nothing but the figures of each call, as a line of JSON.
    #[arg(long)]
    pub json: bool,
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// A field and its value.
fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a field is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Keys of a telephone.
fn keys(text: &str) -> Result<String, String> {
    match text.chars().find(|key| !"0123456789ABCD*#".contains(*key)) {
        Some(key) => Err(format!("{key:?} is no key of a telephone: 0-9, A-D, *, #")),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::{Cli, Command};

    /// Lines mean what they say, and what makes no sense is refused.
    #[test]
    fn lines_are_understood() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' '));
        let line = "talkpath emulate acme --key tp_x --outbound --quirk burst=5 --quirk alaw \
                    --press 12# --seconds 3 --field a=b=c --json";
        let Command::Emulate(args) = parse(line).unwrap().command else { panic!("not emulate") };
        assert_eq!((args.name.as_str(), args.quirks.len()), ("acme", 2));
        assert_eq!((args.press.as_str(), args.seconds, args.outbound), ("12#", Some(3), true));
        assert_eq!(args.fields, [("a".to_owned(), "b=c".to_owned())]);
        assert_eq!(args.server, "http://127.0.0.1:8080");
        assert!(!format!("{args:?}").contains("tp_x"));
        for line in [
            "talkpath emulate --key k",
            "talkpath emulate acme --key k --wait --outbound",
            "talkpath emulate acme --key k --wait --record a.wav",
            "talkpath emulate acme --key k --field media",
            "talkpath emulate acme --key k --press 1x",
            "talkpath emulate acme --key k --seconds 0",
            "talkpath emulate acme --key k --json --verbose",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
