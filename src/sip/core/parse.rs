//! From octets to a [`Message`]: the start line, the header table, the body.

use std::str;
use std::sync::Arc;

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::headers::{HeaderName, number_of};
use super::lex;
use super::message::{
    Fault, Field, HEADERS_MAX, LINE_BYTES_MAX, MESSAGE_BYTES_MAX, Message, ParseError, Span, Start,
};
use super::method::Method;

/// The only version there is (RFC 3261 section 7.1).
const VERSION: &str = "SIP/2.0";

/// Reads one message; see [`Message::parse`].
pub(super) fn message(raw: Bytes) -> Result<Message, ParseError> {
    if raw.len() > MESSAGE_BYTES_MAX {
        return Err(ParseError::TooLarge);
    }
    let begin = raw.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let mut raw = raw.slice(begin.ok_or(ParseError::Empty)?..);
    let survey = survey(&raw)?;
    let octets = raw.get(..survey.head_end).unwrap_or_default();
    let head = if survey.folded || str::from_utf8(octets).is_err() {
        Bytes::from(rewrite(octets))
    } else {
        raw.slice(..survey.head_end)
    };
    let text = str::from_utf8(&head).map_err(|_| ParseError::StartLine)?;

    let (start_line, mut at) = line(text, 0).ok_or(ParseError::Truncated)?;
    let mut fault = None;
    if !survey.complete {
        note(&mut fault, Fault::HeaderEnd);
    }
    let start = start(text, start_line, &mut fault)?;
    let mut fields: ArrayVec<Field, HEADERS_MAX> = ArrayVec::new();
    while let Some((span, next)) = line(text, at) {
        at = next;
        if span.0 == span.1 {
            break;
        }
        match field(text, span) {
            Some(field) => fields.try_push(field).map_err(|_| ParseError::TooManyHeaders)?,
            None => note(&mut fault, Fault::HeaderLine),
        }
    }
    let available = raw.len() - survey.body_start;
    let length = match content_length(text, &fields) {
        Ok(None) => available,
        Ok(Some(length)) if length <= available => length,
        Ok(Some(_)) => {
            note(&mut fault, Fault::BodyShort);
            available
        }
        Err(found) => {
            note(&mut fault, found);
            available
        }
    };
    let end = survey.body_start + length;
    raw.truncate(end);
    let fields = Arc::from(fields.as_slice());
    Ok(Message { raw, head, body: survey.body_start..end, start, fields, fault })
}

/// What one pass over the line ends finds out.
struct Survey {
    /// Where the header ends, its last line end included and the empty line not.
    head_end: usize,
    /// Where the body begins.
    body_start: usize,
    /// Whether a line continues the one before it.
    folded: bool,
    /// Whether the empty line is there.
    complete: bool,
}

/// Finds the end of the header; accepts LF for CRLF, refuses a CR that ends no line.
fn survey(raw: &[u8]) -> Result<Survey, ParseError> {
    let mut folded = false;
    let (mut at, mut field_start) = (0, 0);
    while let Some(length) = lex::find_line_end(raw.get(at..).unwrap_or_default()) {
        let end = at + length;
        if end - field_start > LINE_BYTES_MAX {
            return Err(ParseError::LineTooLong);
        }
        let head_end = match raw.get(end..).unwrap_or_default() {
            [b'\n', ..] => end + 1,
            [_, b'\n', ..] => end + 2,
            [_] => return Err(ParseError::Truncated),
            _ => return Err(ParseError::StrayReturn),
        };
        let found = |empty_line, complete| Survey {
            head_end,
            body_start: head_end + empty_line,
            folded,
            complete,
        };
        match raw.get(head_end..).unwrap_or_default() {
            [b'\n', ..] => return Ok(found(1, true)),
            [b'\r', b'\n', ..] => return Ok(found(2, true)),
            [] => return Ok(found(0, false)),
            [b' ' | b'\t', ..] => folded = true,
            _ => field_start = head_end,
        }
        at = head_end;
    }
    Err(if raw.len() - field_start > LINE_BYTES_MAX {
        ParseError::LineTooLong
    } else {
        ParseError::Truncated
    })
}

/// The header in UTF-8 and without folds: octets that are not UTF-8 are Latin-1 (some telephones
/// send display names so), a line end with the blanks around it becomes one space (RFC 3261
/// section 7.3.1).
fn rewrite(head: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(head.len() + head.len() / 4);
    for chunk in head.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|&octet| char::from(octet)));
    }
    let mut unfolded = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with([' ', '\t']) && !unfolded.is_empty() {
            let kept = unfolded.trim_end_matches([' ', '\t', '\r', '\n']).len();
            unfolded.truncate(kept);
            unfolded.push(' ');
            unfolded.push_str(line.trim_start_matches([' ', '\t']));
        } else {
            unfolded.push_str(line);
        }
    }
    unfolded.into_bytes()
}

/// Begin and end of a line without its line end.
type Line = (usize, usize);

/// The line that begins at `at`, and where the next one begins.
fn line(text: &str, at: usize) -> Option<(Line, usize)> {
    let rest = text.as_bytes().get(at..)?;
    let length = lex::find_line_end(rest)?;
    // The survey has seen that every CR is followed by LF.
    let next = if rest.get(length) == Some(&b'\r') { length + 2 } else { length + 1 };
    Some(((at, at + length), at + next))
}

fn note(fault: &mut Option<Fault>, found: Fault) {
    fault.get_or_insert(found);
}

/// The span of `part`, which must be a piece of `text`.
fn span_of(text: &str, part: &str) -> Span {
    let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let end = start + part.len();
    // A header is shorter than 2 * MESSAGE_BYTES_MAX, Latin-1 in UTF-8 included.
    Span { start: u32::try_from(start).unwrap_or(0), end: u32::try_from(end).unwrap_or(0) }
}

fn start(text: &str, span: Line, fault: &mut Option<Fault>) -> Result<Start, ParseError> {
    let line = text.get(span.0..span.1).unwrap_or_default();
    let protocol = line.get(..4).ok_or(ParseError::StartLine)?;
    if protocol.eq_ignore_ascii_case("SIP/") {
        return status_line(text, line, fault);
    }
    let trimmed = lex::trim(line);
    let (method, rest) = trimmed.split_once([' ', '\t']).ok_or(ParseError::StartLine)?;
    let (uri, version) = rest.rsplit_once([' ', '\t']).ok_or(ParseError::StartLine)?;
    if !lex::is_token(method) {
        return Err(ParseError::StartLine);
    }
    version_fault(version, fault)?;
    let exact = lex::trim(uri);
    if trimmed.len() != line.len() || uri.contains([' ', '\t']) || exact.is_empty() {
        note(fault, Fault::StartLine);
    }
    Ok(Start::Request { method: Method::from_token(method), uri: span_of(text, exact) })
}

fn status_line(text: &str, line: &str, fault: &mut Option<Fault>) -> Result<Start, ParseError> {
    let (version, rest) = line.split_once(' ').ok_or(ParseError::StartLine)?;
    version_fault(version, fault)?;
    // The blank before an empty reason phrase is left out by some.
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    if code.len() != 3 {
        return Err(ParseError::StartLine);
    }
    let status = code.parse::<u16>().map_err(|_| ParseError::StartLine)?;
    if !(100..700).contains(&status) || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::StartLine);
    }
    Ok(Start::Response { status, reason: span_of(text, lex::trim(reason)) })
}

/// Notes a version other than ours; refuses what is not SIP.
fn version_fault(version: &str, fault: &mut Option<Fault>) -> Result<(), ParseError> {
    if version.eq_ignore_ascii_case(VERSION) {
        return Ok(());
    }
    let protocol = version.get(..4).ok_or(ParseError::StartLine)?;
    if !protocol.eq_ignore_ascii_case("SIP/") {
        return Err(ParseError::StartLine);
    }
    note(fault, Fault::Version);
    Ok(())
}

fn field(text: &str, span: Line) -> Option<Field> {
    let line = text.get(span.0..span.1)?;
    let (name, value) = line.split_once(':')?;
    let name = lex::trim(name);
    if !lex::is_token(name) {
        return None;
    }
    let value = span_of(text, lex::trim(value));
    Some(Field { name: span_of(text, name), value, number: number_of(name) })
}

/// What Content-Length says; equal repetitions count as one here.
fn content_length(text: &str, fields: &[Field]) -> Result<Option<usize>, Fault> {
    let number = HeaderName::ContentLength.table_number();
    let mut length = None;
    for field in fields.iter().filter(|field| field.number == number) {
        let value = lex::number(field.value.of(text.as_bytes()), u64::from(u32::MAX))
            .map_err(|_| Fault::ContentLength)?;
        let value = usize::try_from(value).map_err(|_| Fault::ContentLength)?;
        if length.is_some_and(|other| other != value) {
            return Err(Fault::ContentLength);
        }
        length = Some(value);
    }
    Ok(length)
}
