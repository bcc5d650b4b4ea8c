//! Reads a `.env` file with lines `SPIN_VARIABLE_<NAME>=value`, in the same way as Spin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use anyhow::Context;

use crate::manifest::Manifest;
use crate::report::{Report, Status};

/// The prefix that a variable's name has in the file.
const PREFIX: &str = "SPIN_VARIABLE_";

/// The values of a file, and the faults of its lines.
pub struct EnvFile {
    /// The values, by the names of the variables. The names have no prefix, and are in lower case.
    pub values: BTreeMap<String, String>,
    faults: Vec<(Status, String)>,
}

impl fmt::Debug for EnvFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvFile").field("names", &self.values.keys()).finish_non_exhaustive()
    }
}

impl EnvFile {
    /// Reads a file.
    pub fn read(path: &Path, manifest: &Manifest) -> anyhow::Result<Self> {
        let name = path.display();
        let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot be read; check --env"))?;
        let text = String::from_utf8(bytes).ok();
        let text = text.with_context(|| format!("{name}: not UTF-8; save the file as UTF-8"))?;
        let mut file = Self::parse(&text, manifest);
        if is_readable_by_others(path) {
            file.add(
                Status::Warning,
                format!("{name}: other users can read the secrets in it; run chmod 600 {name}"),
            );
        }
        Ok(file)
    }

    /// Reads the text of a file, and collects the faults. The text of a fault never contains the value of a
    /// line, because the value can be a secret.
    pub fn parse(text: &str, manifest: &Manifest) -> Self {
        let mut file = Self { values: BTreeMap::new(), faults: Vec::new() };
        if text.starts_with('\u{feff}') {
            file.add(Status::Problem, "line 1: begins with a byte order mark; save the file without one");
        }
        if text.contains("\r\n") {
            let remedy = "save the file with Unix line ends: sed -i 's/\\r$//' <file>";
            file.add(
                Status::Problem,
                format!(
                    "line ends: CRLF; a script that reads the file passes the CR on as a part of each value; \
                     {remedy}"
                ),
            );
        }
        let mut seen = BTreeSet::new();
        for item in dotenvy::from_read_iter(text.trim_start_matches('\u{feff}').as_bytes()) {
            match item {
                Ok((name, value)) => {
                    if !seen.insert(name.clone()) {
                        file.add(Status::Problem, format!("{name}: is set twice; keep one"));
                    } else {
                        file.check_name(&name, &value, manifest);
                    }
                }
                Err(error) => file.add_line_fault(text, &error),
            }
        }
        file.find_values_that_a_script_reads_differently(text);
        file
    }

    /// Adds the faults to a report.
    pub fn report(&self, report: &mut Report) {
        for (status, text) in &self.faults {
            report.add(*status, text.clone());
        }
    }

    fn add(&mut self, status: Status, text: impl Into<String>) {
        self.faults.push((status, text.into()));
    }

    fn check_name(&mut self, name: &str, value: &str, manifest: &Manifest) {
        let known = |name: &str| manifest.variables.contains_key(&name.to_ascii_lowercase());
        let Some(variable) = name.strip_prefix(PREFIX) else {
            let upper = name.to_ascii_uppercase();
            let bare = upper.strip_prefix(PREFIX).unwrap_or(&upper);
            if known(bare) {
                self.add(
                    Status::Problem,
                    format!("{name}: Spin does not read this name; write {PREFIX}{bare}"),
                );
            }
            // All other names are allowed, because scripts can read variables with such names.
            return;
        };
        if !known(variable) {
            let nearest =
                manifest.variables.keys().min_by_key(|known| distance(known, &variable.to_ascii_lowercase()));
            let nearest = nearest.map(|name| name.to_ascii_uppercase()).unwrap_or_default();
            self.add(
                Status::Problem,
                format!(
                    "{name}: the manifest has no such variable; correct the name (the nearest is \
                     {PREFIX}{nearest})"
                ),
            );
        } else if variable.contains(|c: char| c.is_ascii_lowercase()) {
            let right = variable.to_ascii_uppercase();
            self.add(Status::Problem, format!("{name}: Spin does not read this name; write {PREFIX}{right}"));
        } else {
            self.values.insert(variable.to_ascii_lowercase(), value.to_owned());
        }
    }

    fn add_line_fault(&mut self, text: &str, error: &dotenvy::Error) {
        let number = match error {
            // `part` is the whole line, or only the value in the line. A value in quotes can have several
            // lines. Then `part` can have all lines of the value.
            dotenvy::Error::LineParse(part, _) => text.lines().position(|line| {
                let line = line.trim_end();
                !line.is_empty() && (line.contains(part.trim_end()) || part.starts_with(line))
            }),
            _ => None,
        };
        let place = number.map_or_else(|| "a line".to_owned(), |number| format!("line {}", number + 1));
        self.add(
            Status::Problem,
            format!("{place}: expected NAME=value; put a value with blanks or quotes into single quotes"),
        );
    }

    /// Finds values that Spin and a simple script read differently. A simple script cuts the line at `=`, and
    /// takes the rest of the line as the value. Spin removes the white space around a value, and gives `$`,
    /// `\` and ` #` a special meaning.
    fn find_values_that_a_script_reads_differently(&mut self, text: &str) {
        let mut found = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let Some((name, value)) = line.trim_start().split_once('=') else { continue };
            let variable = name.trim_start_matches("export ").trim();
            let Some(read) =
                variable.strip_prefix(PREFIX).and_then(|name| self.values.get(&name.to_ascii_lowercase()))
            else {
                continue;
            };
            let place = format!("line {} ({variable})", index + 1);
            if value != value.trim() {
                found.push((
                    Status::Problem,
                    format!(
                        "{place}: white space beside the value; a script passes it on as a part of the value; \
                         remove it"
                    ),
                ));
            }
            let quoted =
                |quote: char| value.trim().strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            let plain = quoted('\'').or_else(|| quoted('"')).unwrap_or(value.trim());
            let is_whole =
                !value.trim().starts_with(['"', '\'']) || quoted('\'').is_some() || quoted('"').is_some();
            if is_whole && plain != read && plain != read.trim() {
                found.push((
                    Status::Warning,
                    format!(
                        "{place}: Spin changes `$`, `\\` and ` #` in this value; put the value into single quotes"
                    ),
                ));
            }
        }
        self.faults.extend(found);
    }
}

#[cfg(unix)]
fn is_readable_by_others(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &Path) -> bool {
    false
}

/// The Levenshtein distance: the smallest number of letters to insert, delete or replace to change `from`
/// into `to`.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (line, left) in from.chars().enumerate() {
        let mut diagonal = line;
        let mut previous = line + 1;
        for (column, right) in to.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or_default();
            let replaced = diagonal + usize::from(left != *right);
            let best = replaced.min(above + 1).min(previous + 1);
            if let Some(cell) = row.get_mut(column) {
                *cell = previous;
            }
            diagonal = above;
            previous = best;
        }
        if let Some(cell) = row.last_mut() {
            *cell = previous;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> EnvFile {
        let manifest = "[variables]\npollkey = { default = \"\" }\nsealkey = { default = \"\" }\n\
                        certificate = { default = \"\" }\nkick = { default = \"on\" }";
        EnvFile::parse(text, &Manifest::parse(manifest).unwrap())
    }

    #[test]
    fn values_are_read_as_spin_reads_them() {
        let file = read(
            "# comment\n\nSPIN_VARIABLE_POLLKEY=hunter2\nexport SPIN_VARIABLE_KICK='off'\nBOT_NAME=x\n\
             SPIN_VARIABLE_CERTIFICATE=\"one\ntwo\"\n",
        );
        assert_eq!(file.faults, []);
        let expected = [("certificate", "one\ntwo"), ("kick", "off"), ("pollkey", "hunter2")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(file.values, BTreeMap::from(expected));
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[test]
    fn fault_of_a_line_is_named_without_the_value() {
        for (text, expected) in [
            ("POLLKEY=hunter2", "POLLKEY: Spin does not read this name; write SPIN_VARIABLE_POLLKEY"),
            ("pollkey=hunter2", "write SPIN_VARIABLE_POLLKEY"),
            ("spin_variable_pollkey=hunter2", "write SPIN_VARIABLE_POLLKEY"),
            ("SPIN_VARIABLE_pollkey=hunter2", "write SPIN_VARIABLE_POLLKEY"),
            ("SPIN_VARIABLE_POLKEY=hunter2", "the nearest is SPIN_VARIABLE_POLLKEY"),
            ("SPIN_VARIABLE_POLLKEY=hunter2\r\n", "CRLF"),
            ("\u{feff}SPIN_VARIABLE_POLLKEY=hunter2", "byte order mark"),
            ("SPIN_VARIABLE_POLLKEY=hunter2 \n", "line 1 (SPIN_VARIABLE_POLLKEY): white space"),
            ("SPIN_VARIABLE_POLLKEY= hunter2\n", "white space"),
            ("SPIN_VARIABLE_POLLKEY=a\nSPIN_VARIABLE_POLLKEY=hunter2", "is set twice"),
            ("\n\nSPIN_VARIABLE_POLLKEY hunter2", "line 3: expected NAME=value"),
            ("SPIN_VARIABLE_POLLKEY=hunter2 hunter2", "line 1: expected NAME=value"),
            ("SPIN_VARIABLE_POLLKEY='hunter2", "expected NAME=value"),
            ("SPIN_VARIABLE_POLLKEY=hunter$2", "single quotes"),
        ] {
            let faults = read(text).faults;
            let shown: Vec<_> = faults.iter().map(|(_, text)| text.as_str()).collect();
            assert!(shown.iter().any(|fault| fault.contains(expected)), "{text:?}: {shown:?}");
            assert!(!shown.join(" ").contains("hunter"), "{text:?}: {shown:?}");
        }
    }

    #[test]
    fn distance_counts_changed_letters() {
        for (from, to, expected) in
            [("", "", 0), ("", "ab", 2), ("pollkey", "polkey", 1), ("kick", "kcik", 2), ("abc", "xyz", 3)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
