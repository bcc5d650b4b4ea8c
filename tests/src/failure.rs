//! Makes the report of a failed *case* (an end-to-end test). The report shows the first panic of the case,
//! the end of the Spin host's log, and the requests that the fake services received.

use std::cell::RefCell;

thread_local! {
    static NOTES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static FIRST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Adds a paragraph to the report of the case that runs on this thread.
pub(crate) fn note(text: String) {
    NOTES.with_borrow_mut(|notes| notes.push(text));
}

/// How many lines of a log the report shows.
const LOG_TAIL: usize = 40;

/// Joins the last [`LOG_TAIL`] lines of a log.
pub(crate) fn tail(lines: &[impl AsRef<str>]) -> String {
    let last = &lines[lines.len().saturating_sub(LOG_TAIL)..];
    last.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n")
}

/// Installs a panic hook. The hook keeps the first panic of a case for the report of the case. Without this
/// hook, Rust would print each panic at once, between the lines of other cases that run at the same time.
pub(crate) fn install_hook() {
    let original = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        // A thread that runs no case has no report. So the hook prints the panic of such a thread.
        if std::thread::current().name() != Some(CASE_THREAD) {
            return original(info);
        }
        let message = info.payload_as_str().unwrap_or("(a panic without text)");
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        FIRST_PANIC.with_borrow_mut(|first| {
            first.get_or_insert_with(|| format!("{place}\n{message}"));
        });
    }));
}

/// The name of the threads that [`crate::suite`] runs cases on.
pub(crate) const CASE_THREAD: &str = "case";

/// Makes the report of the case that failed on this thread: the place and the text of the first panic, and
/// the notes.
pub(crate) fn report() -> String {
    let first_panic =
        FIRST_PANIC.take().unwrap_or_else(|| "the case failed, but no panic was recorded".into());
    NOTES.take().into_iter().fold(first_panic, |report, note| format!("{report}\n\n{note}"))
}
