//! The report of the *doctor* (`cargo dev doctor`, a program that checks a deployment of the bot). The report
//! has lines in sections, and removes secrets from the lines.

use std::fmt;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Nothing is wrong.
    Fine,
    /// The check was not made; the line gives the reason.
    Skipped,
    /// The bot works, but a setting is perhaps wrong. For example, two keys have the same value.
    Warning,
    /// The bot does not work, or is not safe.
    Problem,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The section, e.g. `storage`.
    pub section: &'static str,
    /// How the check ended.
    pub status: Status,
    /// The text. For a warning or a problem, the form is `<what>: <what is wrong>; <what to do>`.
    pub text: String,
}

/// The lines of all checks, in the order of the checks.
#[derive(Default)]
pub struct Report {
    section: &'static str,
    lines: Vec<Line>,
    secrets: Vec<String>,
}

/// The length of the shortest secret that a report removes. Without this limit, the report would also remove
/// a short value, such as `on`, from ordinary words.
const SHORTEST_SECRET_BYTES: usize = 5;

impl Report {
    /// An empty report, which replaces these secrets with `***` in every line. It ignores secrets that are
    /// shorter than five bytes.
    pub fn without(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<_> = secrets.into_iter().collect();
        secrets.retain(|secret| secret.len() >= SHORTEST_SECRET_BYTES);
        // If a secret contains another secret, the longer secret has to be removed first.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Self { secrets, ..Self::default() }
    }

    /// Begins a section. The lines that are added from here on belong to this section.
    pub fn begin(&mut self, section: &'static str) {
        self.section = section;
    }

    /// Adds a line, unless the section already has the same line.
    pub fn add(&mut self, status: Status, text: impl Into<String>) {
        let mut text: String = text.into();
        for secret in &self.secrets {
            text = text.replace(secret, "***");
        }
        // Each result is one line, even if the text repeats a value with line ends, e.g. a value of the app
        // package.
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = Line { section: self.section, status, text };
        if !self.lines.contains(&line) {
            self.lines.push(line);
        }
    }

    /// Adds the line of a check that found nothing wrong.
    pub fn fine(&mut self, text: impl Into<String>) {
        self.add(Status::Fine, text);
    }

    /// Adds the line of a check that was not made.
    pub fn skip(&mut self, text: impl Into<String>) {
        self.add(Status::Skipped, text);
    }

    /// Adds a warning.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.add(Status::Warning, text);
    }

    /// Adds a problem.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.add(Status::Problem, text);
    }

    /// The lines with this status.
    pub fn with(&self, status: Status) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| line.status == status)
    }

    /// Whether there is no problem. Warnings do not count.
    pub fn is_fine(&self) -> bool {
        self.with(Status::Problem).next().is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = "";
        for line in &self.lines {
            if line.section != section {
                section = line.section;
                writeln!(f, "{section}")?;
            }
            let status = match line.status {
                Status::Fine => "ok",
                Status::Skipped => "skipped",
                Status::Warning => "warning",
                Status::Problem => "PROBLEM",
            };
            writeln!(f, "  {status:<8} {}", line.text)?;
        }
        let count = |status, one: &str| match self.with(status).count() {
            1 => format!("1 {one}"),
            count => format!("{count} {one}s"),
        };
        write!(f, "\n{}, {}", count(Status::Problem, "problem"), count(Status::Warning, "warning"))
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Report").field("lines", &self.lines).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_shows_no_secret_and_one_line_for_each_result() {
        let mut report = Report::without(["hunter2".to_owned(), "hunter2-long".to_owned(), "on".to_owned()]);
        report.begin("variables");
        report.problem("x: hunter2-long and hunter2\nare on; remove them");
        report.problem("x: hunter2-long and hunter2\nare on; remove them");
        report.warn("y");
        let text = report.to_string();
        assert_eq!(
            text,
            "variables\n  PROBLEM  x: *** and *** are on; remove them\n  warning  y\n\n1 problem, 1 warning"
        );
        assert!(!report.is_fine() && !format!("{report:?}").contains("hunter2"));
    }
}
