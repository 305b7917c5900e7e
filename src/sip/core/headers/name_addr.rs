//! Addresses: From, To, Contact, Route and their like (RFC 3261 section 20.10).

use std::borrow::Cow;

use super::super::lex::{self, Syntax};
use super::super::uri::Uri;
use super::params::Params;

/// `"Display" <uri>;params` or `uri;params`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name as it stands between its quotes (escapes kept) or without quotes; `None`
    /// when there is none or an empty one.
    pub display: Option<&'a str>,
    /// The URI.
    pub uri: Uri<'a>,
    /// The parameters of the header, not those of the URI.
    pub params: Params<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads one address.
    ///
    /// A display name of several words with characters that are no token's is taken when it stands
    /// before `<` (RFC 4475 section 3.1.2.15 allows that), and blanks just inside the brackets are
    /// ignored (section 3.1.2.14). Without brackets the URI may not hold `?` or `,` and what
    /// follows `;` belongs to the header (RFC 3261 section 20).
    ///
    /// # Errors
    /// What is wrong with quotes, brackets, URI or parameters.
    pub fn parse(text: &'a str) -> Result<Self, Syntax> {
        let text = lex::trim(text);
        if text.is_empty() {
            return Err(Syntax::Empty);
        }
        if text.starts_with('"') {
            let (display, rest) = lex::quoted(text)?;
            let rest = lex::trim(rest).strip_prefix('<').ok_or(Syntax::Bracket)?;
            return Self::bracketed(display, rest);
        }
        match text.find('<') {
            Some(at) => {
                let (display, rest) = lex::cut(text, at);
                if display.contains(['"', '>']) {
                    return Err(Syntax::Quote);
                }
                Self::bracketed(lex::trim(display), rest)
            }
            None => Self::bare(text),
        }
    }

    fn bracketed(display: &'a str, rest: &'a str) -> Result<Self, Syntax> {
        let (uri, params) = rest.split_once('>').ok_or(Syntax::Bracket)?;
        let uri = Uri::parse(lex::trim(uri)).map_err(|_| Syntax::Uri)?;
        let params = lex::trim(params);
        if !params.is_empty() && !params.starts_with(';') {
            return Err(Syntax::Trailing);
        }
        let display = (!display.is_empty()).then_some(display);
        Ok(Self { display, uri, params: Params::parse(params)? })
    }

    fn bare(text: &'a str) -> Result<Self, Syntax> {
        let (uri, params) =
            text.split_at_checked(text.find(';').unwrap_or(text.len())).ok_or(Syntax::Uri)?;
        if uri.contains(['?', ',', '>']) {
            return Err(Syntax::Bracket);
        }
        let uri = Uri::parse(lex::trim(uri)).map_err(|_| Syntax::Uri)?;
        Ok(Self { display: None, uri, params: Params::parse(params)? })
    }

    /// The `tag` parameter; `None` when missing or empty.
    pub fn tag(&self) -> Option<&'a str> {
        self.params.get("tag").filter(|tag| !tag.is_empty())
    }

    /// The display name with escapes resolved.
    pub fn display_name(&self) -> Option<Cow<'a, str>> {
        let display = self.display?;
        if !display.contains('\\') {
            return Some(Cow::Borrowed(display));
        }
        let mut name = String::with_capacity(display.len());
        let mut characters = display.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => name.extend(characters.next()),
                other => name.push(other),
            }
        }
        Some(Cow::Owned(name))
    }
}
