//! Documents in XML 1.0 that tell carriers what to do with a call.

/// A document that is being written. Elements are opened and closed one after the other; whatever
/// is still open is closed at the end.
#[derive(Debug)]
pub struct Markup {
    text: String,
    open: Vec<&'static str>,
    /// The last tag may still get attributes.
    in_tag: bool,
}

impl Markup {
    /// A document whose one element is `root`.
    pub fn document(root: &'static str) -> Self {
        let text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>".to_owned();
        Self { text, open: Vec::new(), in_tag: false }.open(root)
    }

    /// Opens an element inside the one that is open.
    pub fn open(mut self, name: &'static str) -> Self {
        self.end_tag();
        self.text.push('<');
        self.text.push_str(name);
        self.open.push(name);
        self.in_tag = true;
        self
    }

    /// Gives the element that was just opened an attribute; once it holds something it is too late,
    /// and nothing is written.
    pub fn attribute(mut self, name: &str, value: &str) -> Self {
        debug_assert!(self.in_tag, "attributes come before what is inside");
        if self.in_tag {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(&mut self.text, value, true);
            self.text.push('"');
        }
        self
    }

    /// The same if there is a value.
    pub fn attribute_if(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.attribute(name, value),
            None => self,
        }
    }

    /// Puts text into the element that is open.
    pub fn text(mut self, text: &str) -> Self {
        self.end_tag();
        escape(&mut self.text, text, false);
        self
    }

    /// Closes the element that is open.
    pub fn close(mut self) -> Self {
        let Some(name) = self.open.pop() else { return self };
        if self.in_tag {
            self.text.push_str("/>");
            self.in_tag = false;
        } else {
            self.text.push_str("</");
            self.text.push_str(name);
            self.text.push('>');
        }
        self
    }

    /// The whole document.
    pub fn finish(mut self) -> String {
        while !self.open.is_empty() {
            self = self.close();
        }
        self.text
    }

    fn end_tag(&mut self) {
        if self.in_tag {
            self.text.push('>');
            self.in_tag = false;
        }
    }
}

/// Appends `text` escaped. What XML 1.0 2.2 has no place for is left out.
fn escape(out: &mut String, text: &str, attribute: bool) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if attribute => out.push_str("&quot;"),
            // A reader turns blanks of an attribute that are not escaped into spaces (3.3.3).
            '\t' if attribute => out.push_str("&#9;"),
            '\n' if attribute => out.push_str("&#10;"),
            // Of text too: a reader takes a bare one for the end of a line (2.11).
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(character),
            '\0'..' ' | '\u{fffe}' | '\u{ffff}' => {}
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Elements nest, empty ones are short, everything is closed.
    #[test]
    fn documents_are_well_formed() {
        let written = Markup::document("Response")
            .open("Connect")
            .attribute("action", "https://t.example/?a=1&b=2")
            .open("Stream")
            .attribute("url", "wss://t.example")
            .attribute_if("name", None)
            .close()
            .close()
            .open("Say")
            .text("a < b")
            .finish();
        assert_eq!(
            written,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response>\
             <Connect action=\"https://t.example/?a=1&amp;b=2\"><Stream url=\"wss://t.example\"/>\
             </Connect><Say>a &lt; b</Say></Response>"
        );
        let empty = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Response/>";
        assert_eq!(Markup::document("Response").finish(), empty);
        assert_eq!(Markup::document("Response").close().close().finish(), empty);
    }

    /// Whatever stands in a text or an attribute, a reader gets it back as it was, but for what XML
    /// cannot hold.
    #[test]
    fn escapes() {
        let written = |attribute, text: &str| {
            let mut out = String::new();
            escape(&mut out, text, attribute);
            out
        };
        assert_eq!(written(false, "Tom & \"J\" <x> 'y'"), "Tom &amp; \"J\" &lt;x&gt; 'y'");
        assert_eq!(written(true, "<a & \"b\" 'c'>"), "&lt;a &amp; &quot;b&quot; 'c'&gt;");
        assert_eq!(written(true, "1\n2\t3\r"), "1&#10;2&#9;3&#13;");
        assert_eq!(written(false, "1\n2\t3\r"), "1\n2\t3&#13;");
        assert_eq!(written(true, "a\0b\u{b}c\u{ffff}ü"), "abcü");
    }
}
