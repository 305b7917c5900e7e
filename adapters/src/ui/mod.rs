//! The fields of a configuration: one list from which form, reader, masks, API schema and
//! documentation follow.

mod form;
pub mod rules;
mod schema;

pub use form::form;
pub use schema::schema;

/// How a provider presents itself and what it wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct UiMetadata {
    /// Name for people.
    pub display_name: &'static str,
    /// One sentence: what one connects with it.
    pub summary: &'static str,
    /// Where the provider explains itself, if it does.
    pub docs_url: Option<&'static str>,
    /// How calls come.
    pub connectivity: Connectivity,
    /// Groups of fields, in the order of the form.
    pub sections: &'static [UiSection],
    /// The fields, in the order of the form.
    pub fields: &'static [UiField],
}

/// How calls come from a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connectivity {
    /// An account whose calls are controlled over HTTP.
    Api,
    /// One's own SIP equipment or trunk.
    Sip,
}

impl Connectivity {
    /// The stable word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Sip => "sip",
        }
    }
}

/// A group of fields.
#[derive(Clone, Copy, Debug)]
pub struct UiSection {
    /// Name that fields refer to.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// A sentence below the heading.
    pub help: &'static str,
}

/// A field of a configuration.
///
/// Made by [`UiField::new`] and refined by the other functions, so that a list of fields reads as a
/// table.
#[derive(Clone, Copy, Debug)]
pub struct UiField {
    /// Unique name; dots nest (`auth.password`). Small letters, digits and `_` between the dots.
    pub name: &'static str,
    /// Name for people.
    pub label: &'static str,
    /// What values it takes.
    pub kind: FieldKind,
    /// Name of the section it belongs to.
    pub section: &'static str,
    /// What it means and where to find it.
    pub help: &'static str,
    /// An example shown while the field is empty.
    pub placeholder: &'static str,
    /// True if there must be a value whenever the field is visible.
    pub required: bool,
    /// True if the value is masked when it is read.
    pub secret: bool,
    /// True if it decides where secrets go, such as a host or an account: whoever sends them
    /// elsewhere must know them, so that none is kept by its mask.
    pub steers: bool,
    /// Who sets it.
    pub owner: Owner,
    /// The field exists only while another has a certain value.
    pub visible_when: Option<Condition>,
    /// The value if none is given.
    pub default: Option<Literal>,
    /// False if the value is kept but nothing acts on it yet.
    pub in_use: bool,
    /// True if few need it: a form hides it until asked.
    pub advanced: bool,
}

/// Who sets a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Whoever writes the configuration.
    Client,
    /// This server. What clients write is ignored; what is stored is carried over.
    Server {
        /// True if people see it, to copy it elsewhere.
        shown: bool,
        /// True if it belongs to the account and is dropped when the account changes.
        account_scoped: bool,
    },
}

/// A condition on an earlier field.
#[derive(Clone, Copy, Debug)]
pub struct Condition {
    /// Name of the field.
    pub field: &'static str,
    /// The value it must have.
    pub equals: Literal,
}

/// A value written into a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Of a [`FieldKind::Boolean`].
    Flag(bool),
    /// Of a [`FieldKind::Number`].
    Number(i64),
    /// Of a [`FieldKind::Text`] or [`FieldKind::Select`].
    Text(&'static str),
    /// Of a [`FieldKind::Choices`] or [`FieldKind::List`].
    Texts(&'static [&'static str]),
}

/// What values a field takes.
#[derive(Clone, Copy, Debug)]
pub enum FieldKind {
    /// A line of text.
    Text(TextRule),
    /// A line of text that is not shown while it is typed. Kept exactly as it is.
    Password {
        /// Most characters.
        chars_max: usize,
    },
    /// Lines of text, such as a key or a certificate in PEM.
    Textarea(TextRule),
    /// A whole number.
    Number {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
        /// Unit, for people; empty if there is none.
        unit: &'static str,
    },
    /// Yes or no.
    Boolean,
    /// One of these.
    Select(&'static [Choice]),
    /// Some of these, each once, best first; at least one.
    Choices(&'static [Choice]),
    /// Some texts, each once.
    List {
        /// What each must be.
        rule: TextRule,
        /// Most entries.
        entries_max: usize,
    },
    /// Some telephone numbers, each once, brought to E.164.
    Phones {
        /// Most entries.
        entries_max: usize,
    },
    /// Texts by name.
    Map {
        /// What each name must be.
        key: TextRule,
        /// What each text must be.
        value: TextRule,
        /// Most entries.
        entries_max: usize,
    },
    /// Some entries with fields of their own; none of these is secret, server-managed or nested.
    Rows {
        /// Fields of each entry.
        fields: &'static [UiField],
        /// Most entries.
        entries_max: usize,
    },
}

/// One of several values.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The value that is stored.
    pub value: &'static str,
    /// Name for people.
    pub label: &'static str,
}

/// One of several values, and its name for people.
pub(crate) const fn choice(value: &'static str, label: &'static str) -> Choice {
    Choice { value, label }
}

/// What a text must be.
#[derive(Clone, Copy, Debug)]
pub struct TextRule {
    /// A word for the kind of text, as `format` of JSON Schema; empty for any text.
    pub format: &'static str,
    /// Most characters.
    pub chars_max: usize,
    /// Brings a text to its one written form, or says what is wrong without repeating the text.
    pub read: fn(&str) -> Result<String, &'static str>,
}

impl FieldKind {
    /// The word for it in the form metadata.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Password { .. } => "password",
            Self::Textarea(_) => "textarea",
            Self::Number { .. } => "number",
            Self::Boolean => "boolean",
            Self::Select(_) => "select",
            Self::Choices(_) => "choices",
            Self::List { .. } => "list",
            Self::Phones { .. } => "phone-list",
            Self::Map { .. } => "map",
            Self::Rows { .. } => "rows",
        }
    }
}

impl UiField {
    /// An optional field that clients set, without default.
    pub const fn new(
        name: &'static str,
        label: &'static str,
        kind: FieldKind,
        section: &'static str,
    ) -> Self {
        Self {
            name,
            label,
            kind,
            section,
            help: "",
            placeholder: "",
            required: false,
            secret: matches!(kind, FieldKind::Password { .. }),
            steers: false,
            owner: Owner::Client,
            visible_when: None,
            default: None,
            in_use: true,
            advanced: false,
        }
    }

    /// With an explanation.
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// With an example.
    pub const fn placeholder(mut self, placeholder: &'static str) -> Self {
        self.placeholder = placeholder;
        self
    }

    /// There must be a value.
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Masked when it is read; a password is so by itself.
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Decides where secrets go.
    pub const fn steers(mut self) -> Self {
        self.steers = true;
        self
    }

    /// Set by this server.
    pub const fn managed(mut self, shown: bool, account_scoped: bool) -> Self {
        self.owner = Owner::Server { shown, account_scoped };
        self
    }

    /// Exists only while `field` has the value `equals`.
    pub const fn visible_when(mut self, field: &'static str, equals: Literal) -> Self {
        self.visible_when = Some(Condition { field, equals });
        self
    }

    /// With a value for when none is given.
    pub const fn default(mut self, default: Literal) -> Self {
        self.default = Some(default);
        self
    }

    /// Another address of the carrier's REST API, in a field called `api_base`: for tests,
    /// emulators and hosts that speak the carrier's dialect. It takes the place of every host of
    /// the API.
    pub const fn api_base(section: &'static str) -> Self {
        Self::new("api_base", "API address", FieldKind::Text(rules::API_BASE), section)
            .help("Only for a host that takes the place of the carrier's own, such as a test's.")
            .placeholder("https://api.example.com")
            .steers()
            .advanced()
    }

    /// Hidden by a form until asked for.
    pub const fn advanced(mut self) -> Self {
        self.advanced = true;
        self
    }

    /// Kept, and acted on by nothing yet.
    pub const fn kept(mut self) -> Self {
        self.in_use = false;
        self
    }

    /// True if this server sets it.
    pub const fn is_managed(&self) -> bool {
        matches!(self.owner, Owner::Server { .. })
    }

    /// True if people see it.
    pub const fn is_shown(&self) -> bool {
        matches!(self.owner, Owner::Client | Owner::Server { shown: true, .. })
    }
}
