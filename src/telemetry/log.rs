//! Log lines: text for people or JSON for machines, to standard error.

use std::io::IsTerminal;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;

use crate::config::{LogConfig, LogFormat};

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LogError {
    /// The level is no filter.
    #[error("log.level: {0}")]
    Level(#[from] ParseError),
    /// Something else in the process has set it up already.
    #[error("log lines go elsewhere already")]
    Taken,
}

/// Sends the process's log lines to standard error from now on.
///
/// # Errors
///
/// If the level is no filter or the process logs elsewhere already.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let color = config.format == LogFormat::Text && std::io::stderr().is_terminal();
    let subscriber = subscriber(config, std::io::stderr, color)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Taken)
}

/// A subscriber that writes lines to `writer`.
///
/// JSON lines hold `timestamp`, `level`, `target`, `message`, the event's fields, and under `span`
/// the fields of the span they belong to, such as the call.
///
/// # Errors
///
/// If the level is no filter.
pub fn subscriber<W>(
    config: &LogConfig,
    writer: W,
    color: bool,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(&config.level)?;
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(color);
    Ok(match config.format {
        LogFormat::Text => Box::new(builder.finish()),
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_span_list(false);
            Box::new(builder.with_current_span(true).finish())
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: &str) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let config = LogConfig { level: level.into(), format };
        let subscriber = subscriber(&config, move || writer.clone(), false).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("call", call = 7);
            let _inside = span.enter();
            tracing::info!(cause = "normal", "ended");
            tracing::debug!("detail");
        });
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// A JSON line is one object with the event's fields at the top and the span's beneath.
    #[test]
    fn json_lines_are_objects() {
        let text = logged(LogFormat::Json, "info");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!(line["message"], "ended");
        assert_eq!(line["cause"], "normal");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["span"]["call"], 7);
    }

    /// Text lines carry the span, and the level holds back what is below it.
    #[test]
    fn text_lines_keep_to_the_level() {
        let text = logged(LogFormat::Text, "talkpath=info");
        assert!(text.contains("call{call=7}") && text.contains("ended cause=\"normal\""), "{text}");
        assert!(!text.contains("detail"));
        assert!(logged(LogFormat::Text, "debug").contains("detail"));
        assert_eq!(logged(LogFormat::Text, "off"), "");
    }

    /// Each level that the configuration accepts is a filter.
    #[test]
    fn accepted_levels_are_filters() {
        for level in ["info", "info,talkpath::sip=debug", "WARN", "off", "talkpath=trace"] {
            assert!(EnvFilter::builder().parse(level).is_ok(), "{level}");
        }
    }
}
