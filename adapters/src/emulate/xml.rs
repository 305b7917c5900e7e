//! Documents as a carrier reads them: elements, attributes, text (XML 1.0, as far as answers to
//! webhooks go). No document type declarations, no entities but the five.

/// Deepest nesting of elements.
const DEPTH_MAX: usize = 16;

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Name.
    pub name: String,
    /// Attributes in their order.
    pub attributes: Vec<(String, String)>,
    /// Elements inside, in their order.
    pub children: Vec<Self>,
    /// Text inside, elements left out.
    pub text: String,
}

impl Element {
    /// The value of an attribute.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first element inside with that name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }
}

/// The one element that a document holds. `None` if it is not well-formed.
pub fn read(text: &str) -> Option<Element> {
    let mut reader = Reader { rest: text };
    reader.space();
    if reader.rest.starts_with("<?xml") {
        let end = reader.rest.find("?>")?;
        reader.rest = reader.rest.get(end + 2..)?;
    }
    reader.between()?;
    let element = reader.element(0)?;
    reader.between()?;
    reader.rest.is_empty().then_some(element)
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    fn take(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// Skips blanks and comments.
    fn between(&mut self) -> Option<()> {
        loop {
            self.space();
            if self.take("<!--").is_none() {
                return Some(());
            }
            let end = self.rest.find("-->")?;
            self.rest = self.rest.get(end + 3..)?;
        }
    }

    fn name(&mut self) -> Option<&'t str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(name)
    }

    fn element(&mut self, depth: usize) -> Option<Element> {
        if depth == DEPTH_MAX {
            return None;
        }
        self.take("<")?;
        let name = self.name()?.to_owned();
        let mut element =
            Element { name, attributes: Vec::new(), children: Vec::new(), text: String::new() };
        loop {
            let before = self.rest;
            self.space();
            if self.take("/>").is_some() {
                return Some(element);
            }
            if self.take(">").is_some() {
                break;
            }
            // Blanks stand before each attribute.
            if before.len() == self.rest.len() {
                return None;
            }
            let key = self.name()?.to_owned();
            self.space();
            self.take("=")?;
            self.space();
            let quote = self.rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            self.rest = self.rest.get(1..)?;
            let (value, rest) = self.rest.split_once(quote)?;
            self.rest = rest;
            if value.contains('<') || element.attribute(&key).is_some() {
                return None;
            }
            element.attributes.push((key, unescape(value)?));
        }
        loop {
            let end = self.rest.find('<')?;
            let (text, rest) = self.rest.split_at_checked(end)?;
            element.text.push_str(&unescape(text)?);
            self.rest = rest;
            if self.take("<!--").is_some() {
                let end = self.rest.find("-->")?;
                self.rest = self.rest.get(end + 3..)?;
            } else if self.take("</").is_some() {
                let closed = self.name()? == element.name;
                self.space();
                self.take(">")?;
                return closed.then_some(element);
            } else {
                element.children.push(self.element(depth + 1)?);
            }
        }
    }
}

fn unescape(text: &str) -> Option<String> {
    let legal = |c: char| c >= ' ' || matches!(c, '\t' | '\r' | '\n');
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('&') {
        plain.push_str(before);
        let (entity, tail) = tail.split_once(';')?;
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = entity.strip_prefix('#')?;
                let code = match number.strip_prefix('x') {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code).filter(|c| legal(*c))?
            }
        });
        rest = tail;
    }
    plain.push_str(rest);
    plain.chars().all(legal).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements, attributes with either quote, text with entities; whatever else is refused.
    #[test]
    fn documents_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<!-- a --><A b='1' c=\"&quot;&#10;&amp;\"> x &lt; y\
                    <B/><!-- c --><C d=\"\">z</C ></A>\n";
        let root = read(text).unwrap();
        assert_eq!((root.attribute("b"), root.attribute("c")), (Some("1"), Some("\"\n&")));
        assert_eq!(root.text, " x < y");
        assert_eq!(root.child("C").map(|c| c.text.as_str()), Some("z"));
        assert_eq!(root.children.len(), 2);
        for bad in [
            "",
            "<A>",
            "<A></B>",
            "<A/><B/>",
            "<A b=1/>",
            "<A b=\"1\"c=\"2\"/>",
            "<A b=\"1\" b=\"2\"/>",
            "<A b=\"<\"/>",
            "<A>&nbsp;</A>",
            "<A>&</A>",
            "<A>&#1;</A>",
            "<!DOCTYPE a><A/>",
            "text",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        for end in 0..text.trim_end().len() {
            assert!(text.get(..end).is_none_or(|cut| read(cut).is_none()), "{end}");
        }
        let deep = format!("{}{}", "<a>".repeat(20), "</a>".repeat(20));
        assert_eq!(read(&deep), None);
    }
}
