//! What is wrong with a configuration: the place, the key, the value, what is allowed.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of the configuration file, counted from 1.
    Line {
        /// The file as it was named.
        file: PathBuf,
        /// Line, counted from 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// A command line argument.
    Argument(&'static str),
    /// Nowhere: the value is a default, or missing.
    Nowhere,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { file, line } => write!(f, "{}:{line}", file.display()),
            Self::Variable(name) => write!(f, "environment {name}"),
            Self::Argument(name) => write!(f, "argument {name}"),
            Self::Nowhere => f.write_str("configuration"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The key with its path, such as `sip.listen` or `agents[2].url`; empty for a syntax error.
    pub key: String,
    /// What is wrong, with the value and what is allowed; never a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// The one of `known` that a person most likely meant by `word`, if any is near.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_ascii_lowercase();
    let reach = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (distance(&word, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, candidate)| *distance <= reach && *distance < candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that turn `a` into `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let width = b.len() + 1;
    let mut rows = vec![vec![0_usize; width]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// ` (did you mean "…"?)` if something known is near, else nothing.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    nearest(word, known).map(|near| format!(" (did you mean \"{near}\"?)")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slips of the finger find their key; other words find none.
    #[test]
    fn nearest_finds_slips() {
        let known = ["listen", "advertised", "user_agent", "codecs", "url", "answers"];
        let cases = [
            ("listn", Some("listen")),
            ("lsiten", Some("listen")),
            ("Listen", Some("listen")),
            ("user-agent", Some("user_agent")),
            ("codec", Some("codecs")),
            ("uri", Some("url")),
            ("answer", Some("answers")),
            ("transport", None),
            ("x", None),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, &known), expected, "{word}");
        }
    }

    /// The distance is symmetric, zero only for equal words, and counts a swap once.
    #[test]
    fn distance_counts_edits() {
        for (a, b, edits) in
            [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), edits);
            assert_eq!(distance(b, a), edits);
        }
    }
}
