//! What was found, as a table or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// The server runs, but not as well or as safely as it could.
    Warn,
    /// The server does not start, or calls fail.
    Fail,
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How it stands.
    pub status: Status,
    /// What was examined.
    pub check: &'static str,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    pub(super) fn ok(&mut self, check: &'static str, found: String) {
        self.findings.push(Finding { status: Status::Ok, check, found, remedy: None });
    }

    pub(super) fn warn(&mut self, check: &'static str, found: String, remedy: &str) {
        let remedy = Some(remedy.to_owned());
        self.findings.push(Finding { status: Status::Warn, check, found, remedy });
    }

    pub(super) fn fail(&mut self, check: &'static str, found: String, remedy: &str) {
        let remedy = Some(remedy.to_owned());
        self.findings.push(Finding { status: Status::Fail, check, found, remedy });
    }

    /// True if something must be corrected before the server can do its work.
    pub fn failed(&self) -> bool {
        self.count(Status::Fail) > 0
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }

    /// The table for people.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let width = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or(0);
        for Finding { status, check, found, remedy } in &self.findings {
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "{:<4}  {check:<width$}  {found}", status.as_str());
            if let Some(remedy) = remedy {
                let _ = writeln!(text, "      {:<width$}  -> {remedy}", "");
            }
        }
        let (ok, warn, fail) =
            (self.count(Status::Ok), self.count(Status::Warn), self.count(Status::Fail));
        let _ = writeln!(text, "{ok} ok, {warn} warnings, {fail} failures");
        text
    }

    /// The same for programs: `{"ok":bool,"findings":[{"status","check","found","remedy"?}]}`.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "ok": !self.failed(), "findings": self.findings }).to_string()
    }
}
