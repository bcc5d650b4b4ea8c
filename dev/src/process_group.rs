//! Starts each child in its own process group. Through this group, this process can end the child together
//! with all programs that the child has started.

use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

/// The groups that run now, by the id of their first process.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A signal that a group gets.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Kill,
}

/// The group of one child, while the child runs.
#[derive(Debug)]
pub(crate) struct ProcessGroup(u32);

impl ProcessGroup {
    /// Starts a child in its own group.
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<(Child, Self)> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // This thread keeps the list locked until the child is on it, so that `end_with_us` cannot miss the
        // child.
        let mut running = running();
        let child = command.spawn()?;
        running.push(child.id());
        let group = Self(child.id());
        Ok((child, group))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.0, signal);
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        running().retain(|id| *id != self.0);
    }
}

/// Sets a handler: from here on, Ctrl-C, SIGTERM and SIGHUP kill all children and end this process. The
/// handler does not ask the children to end first, because the data that they store is not needed later.
/// `cargo dev up` does not call this function. It sets its own handler, because it asks its children to end
/// before it kills them.
pub fn end_with_us() -> anyhow::Result<()> {
    let end = || {
        // The list stays locked, so from here on no child starts, and no child leaves the list.
        let running = running();
        for id in running.iter() {
            send(*id, Signal::Kill);
        }
        // The status that a shell reports for a program that Ctrl-C has ended.
        std::process::exit(130);
    };
    ctrlc::set_handler(end).context("cannot listen for Ctrl-C")
}

#[cfg(unix)]
fn send(id: u32, signal: Signal) {
    let signal = match signal {
        Signal::Terminate => rustix::process::Signal::TERM,
        Signal::Kill => rustix::process::Signal::KILL,
    };
    if let Some(group) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // The error is ignored, because a group that does not exist has already ended.
        _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn send(_id: u32, _signal: Signal) {}
