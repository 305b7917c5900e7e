//! Parameters: `;name=value` after header values and URIs.

use super::super::lex::{self, Syntax};

/// A list of parameters that has been checked once; reading it cannot fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a> {
    /// Empty, or the text from the first `;` on.
    text: &'a str,
}

impl<'a> Params<'a> {
    /// Reads `text`, which is empty or begins with `;`. Blanks around `;` and `=` are allowed.
    ///
    /// # Errors
    /// [`Syntax::Param`] for a parameter without a name (such as `;;`), a name that is no token or
    /// a value with separators in it; [`Syntax::Quote`] for a quoted string without its end.
    pub fn parse(text: &'a str) -> Result<Self, Syntax> {
        let params = Self { text: lex::trim(text) };
        let mut rest = params.text;
        while !rest.is_empty() {
            rest = rest.strip_prefix(';').ok_or(Syntax::Param)?;
            let end = lex::find_outside(rest, b';', false).unwrap_or(rest.len());
            let (piece, tail) = rest.split_at_checked(end).ok_or(Syntax::Param)?;
            check(piece)?;
            rest = tail;
        }
        Ok(params)
    }

    /// Takes parameters that were checked by another grammar.
    pub(crate) const fn trusted(text: &'a str) -> Self {
        Self { text }
    }

    /// The text of the list, beginning with `;` unless empty.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Whether there is no parameter.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Each parameter: its name as written and its value without quotes, `None` when it has none.
    pub fn iter(&self) -> ParamIter<'a> {
        ParamIter { rest: self.text }
    }

    /// Each parameter as written.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut iter = self.iter();
        std::iter::from_fn(move || iter.piece())
    }

    /// The value of the first parameter of that name (case ignored), without quotes; empty when
    /// the parameter stands without value.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.unwrap_or_default())
    }

    /// Whether there is a parameter of that name (case ignored).
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl<'a> IntoIterator for Params<'a> {
    type Item = (&'a str, Option<&'a str>);
    type IntoIter = ParamIter<'a>;

    fn into_iter(self) -> ParamIter<'a> {
        self.iter()
    }
}

/// Iterates over parameters; see [`Params::iter`].
#[derive(Debug, Clone)]
pub struct ParamIter<'a> {
    rest: &'a str,
}

impl<'a> ParamIter<'a> {
    /// The next parameter as written, trimmed.
    fn piece(&mut self) -> Option<&'a str> {
        let text = self.rest.strip_prefix(';')?;
        let end = lex::find_outside(text, b';', false).unwrap_or(text.len());
        let (piece, tail) = text.split_at_checked(end)?;
        self.rest = tail;
        Some(lex::trim(piece))
    }
}

impl<'a> Iterator for ParamIter<'a> {
    type Item = (&'a str, Option<&'a str>);

    fn next(&mut self) -> Option<Self::Item> {
        let piece = self.piece()?;
        Some(match piece.split_once('=') {
            Some((name, value)) => (lex::trim(name), Some(unquote(lex::trim(value)))),
            None => (piece, None),
        })
    }
}

fn unquote(value: &str) -> &str {
    lex::quoted(value).map_or(value, |(inner, _)| inner)
}

/// Checks one parameter between two `;`.
fn check(piece: &str) -> Result<(), Syntax> {
    let (name, value) = match piece.split_once('=') {
        Some((name, value)) => (lex::trim(name), Some(lex::trim(value))),
        None => (lex::trim(piece), None),
    };
    if !lex::is_token(name) {
        return Err(Syntax::Param);
    }
    let Some(value) = value else { return Ok(()) };
    if value.starts_with('"') {
        let (_, after) = lex::quoted(value)?;
        return if after.is_empty() { Ok(()) } else { Err(Syntax::Param) };
    }
    // Looser than the grammar (token, host or quoted string): what cannot be confused with a
    // separator is taken, because tags and branches of the field hold such characters.
    let separator = |byte: u8| byte <= b' ' || matches!(byte, b',' | b'"' | b'<' | b'>' | 0x7f);
    if value.bytes().any(separator) { Err(Syntax::Param) } else { Ok(()) }
}
