//! Texts with the names of facts in braces: `{cause} after {duration_s} s`.

/// The text with each `{name}` replaced by its value, which may be none; cut off at the longest
/// value that a field takes, without control characters.
pub(super) fn filled<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((name, behind)) = after.split_once('}') else { break };
        text.push_str(value(name).unwrap_or_default());
        rest = behind;
    }
    text.push_str(rest.split('{').next().unwrap_or_default());
    text.chars().filter(|it| !it.is_control()).take(super::VALUE_CHARS_MAX).collect()
}

/// Whether a text is such a template.
pub(super) fn check(template: &str) -> Result<String, &'static str> {
    const WRONG: &str = "not a text with names in braces, such as {cause} after {duration_s} s";
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').ok_or(WRONG)?;
        if before.contains('}') || name.is_empty() || !name.bytes().all(named) {
            return Err(WRONG);
        }
        rest = behind;
    }
    if rest.contains('}') { Err(WRONG) } else { Ok(template.to_owned()) }
}
