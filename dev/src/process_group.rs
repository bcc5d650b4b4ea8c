//! Starts each child process in a process group of its own. A signal to this group also reaches all programs
//! that the child has started, so this process can end the child and these programs together. On systems
//! other than Unix, this module makes no groups, and sends no signals.

use std::process::{Child, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context;

/// The ids of the running groups. The id of a group is the process id of the child.
static RUNNING: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<u32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A signal to a group.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Terminate,
    Kill,
}

/// The group of one child. When this value is dropped, the group's id is removed from [`RUNNING`].
#[derive(Debug)]
pub(crate) struct ProcessGroup(u32);

impl ProcessGroup {
    /// Starts a child in its own group.
    pub(crate) fn spawn(command: &mut Command) -> std::io::Result<(Child, Self)> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        // This thread keeps the list locked until the list has the child's id, so that `end_with_us` also
        // kills this child.
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

/// Sets a handler for Ctrl-C, SIGTERM and SIGHUP. The handler kills all children, and ends this process. The
/// handler does not ask the children to end first, because the data that the children store is not needed
/// later. `cargo dev up` sets another handler, which asks the children to end before it kills them.
pub fn end_with_us() -> anyhow::Result<()> {
    let end = || {
        // The list stays locked until this process has ended, so no child starts, and no child leaves the
        // list.
        let running = running();
        for id in running.iter() {
            send(*id, Signal::Kill);
        }
        // 130 is the status that a shell reports if Ctrl-C has ended a program.
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
        // The call fails if the group has already ended. So the error is ignored.
        _ = rustix::process::kill_process_group(group, signal);
    }
}

#[cfg(not(unix))]
fn send(_id: u32, _signal: Signal) {}
