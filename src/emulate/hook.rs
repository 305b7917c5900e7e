//! Where the server wants to be told of calls, as its requests to the carrier name it.

use adapters::exchange::HttpRequest;

/// The address of a hook of `provider` that stands in a request, without query and fragment.
pub fn hook_in(request: &HttpRequest, provider: &str) -> Option<String> {
    let text = unescape(&request.body);
    let at = text.find(&format!("/api/v1/telephony/{provider}/"))?;
    let start = text.get(..at)?.rfind("http")?;
    let rest = text.get(start..)?;
    let end = rest.find(['"', '&', '#', '?', '<', ' ']).unwrap_or(rest.len());
    rest.get(..end).map(str::to_owned)
}

/// Text in which `%` with two digits stands for a byte.
fn unescape(bytes: &[u8]) -> String {
    let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = digit(at + 1).zip(digit(at + 2)).filter(|_| *byte == b'%');
        let value = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        plain.push(value.unwrap_or(*byte));
        at += if value.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses are found in forms and in JSON, those of others are not.
    #[test]
    fn hooks_are_found() {
        let hook = "https://t.example:8443/pbx/api/v1/telephony/acme/voice/abc";
        for body in [
            "A=1&Url=https%3A%2F%2Ft.example%3A8443%2Fpbx%2Fapi%2Fv1%2Ftelephony%2Facme%2Fvoice\
             %2Fabc%23rc%3D2&B=2"
                .to_owned(),
            format!(r#"{{"a": {{"url": "{hook}", "b": "c"}}}}"#),
            format!("100%25 %zz {hook}?x=y"),
        ] {
            let request = HttpRequest::post(String::new(), "text/plain", body);
            assert_eq!(hook_in(&request, "acme").as_deref(), Some(hook));
            assert_eq!(hook_in(&request, "other"), None);
        }
        let request = HttpRequest::post(String::new(), "text/plain", "%2");
        assert_eq!(hook_in(&request, "acme"), None);
    }
}
