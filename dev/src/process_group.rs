//! The process groups of our children, so that none of them outlives us.

use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

/// The groups that run now, by the id of their first process.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a group is told.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Kill,
}

/// The group of one child, as long as the child runs.
#[derive(Debug)]
pub(crate) struct ProcessGroup(u32);

impl ProcessGroup {
    /// Starts a child in a group of its own.
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<(Child, Self)> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // Held until it is on the list: nobody who ends all of them misses it.
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

/// From here on, Ctrl-C and whatever else asks us to end ends the children too: without asking them, as nothing that
/// they keep is needed any more. `cargo dev up` is not that kind of program, and has a handler of its own.
pub fn end_with_us() -> anyhow::Result<()> {
    let end = || {
        // Never given back: no child starts from here on, and none counts as gone.
        let running = running();
        for id in running.iter() {
            send(*id, Signal::Kill);
        }
        // What a shell says of a program that Ctrl-C has ended.
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
        // An empty group has ended already.
        _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn send(_id: u32, _signal: Signal) {}
