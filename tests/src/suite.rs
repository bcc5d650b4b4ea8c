//! Runs the cases (the end-to-end tests) with the library libtest-mimic. All cases share one Azurite,
//! Microsoft's emulator of Azure Storage. The components of all cases run in the same kind of host: the
//! embedded host of this repository, or real Spin.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use dev::azurite::{Azurite, AzuritePorts, StorageKey};
use dev::host::HostKind;
use libtest_mimic::{Arguments, Trial};

use crate::failure;

/// The objects that all cases share.
#[derive(Debug)]
pub struct World {
    azurite: OnceLock<Azurite>,
    host: HostKind,
    /// The lock with which a case can run alone. A case that must run alone takes the write lock, and every
    /// other case takes a read lock.
    alone_lock: RwLock<()>,
}

impl World {
    /// The Azurite of this test run. The first call starts Azurite. Each case uses its own queues and tables.
    pub fn azurite(&self) -> &Azurite {
        let start = || AzuritePorts::free().and_then(|ports| Azurite::start(ports, StorageKey::well_known()));
        let start = || start().expect("Azurite starts");
        self.azurite.get_or_init(start)
    }

    /// The kind of host that runs the components. The environment variable `E2E_HOST` sets it: `embedded`
    /// (default) or `spin`.
    pub fn host(&self) -> HostKind {
        self.host
    }
}

/// A case: a name, and a function that panics if the case fails.
pub type Case = (&'static str, fn(&World));

/// Makes the list of a module's cases. If a case is missing from the list, the case never runs. The compiler
/// then warns that the function of the case is unused, and the checks of the project fail.
#[macro_export]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::suite::Case] = &[$((stringify!($name), $name)),+];
    };
}

/// A group of cases that is skipped if this machine lacks a program. The output of the test run then shows
/// each case of the group as ignored, with the reason.
#[derive(Debug)]
pub struct Skipped {
    /// The group's name.
    pub group: &'static str,
    /// The reason, for the output of the test run.
    pub reason: &'static str,
    /// Whether this machine lacks the program.
    pub skip: bool,
}

/// Returns the kind of host that the environment variable `E2E_HOST` names. If the value is unknown, this
/// function ends the process.
pub fn chosen_host() -> HostKind {
    match std::env::var("E2E_HOST").as_deref() {
        Err(_) | Ok("" | "embedded") => HostKind::Embedded,
        Ok("spin") => HostKind::Spin,
        Ok(other) => {
            eprintln!("E2E_HOST: expected \"embedded\" or \"spin\", found {other:?}");
            std::process::exit(2);
        }
    }
}

/// Runs the groups of cases, and ends the process with libtest's exit code. `alone` names the groups whose
/// cases run alone, because their high load makes the calls of other cases time out.
pub fn run(groups: &[(&str, &[Case])], skipped: &[Skipped], alone: &[&str]) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(default_threads);
    failure::install_hook();
    if let Err(error) = dev::process_group::end_with_us() {
        eprintln!("{error:#}");
        std::process::exit(2);
    }
    let world =
        Arc::new(World { azurite: OnceLock::new(), host: chosen_host(), alone_lock: RwLock::default() });
    let mut trials = Vec::new();
    for (group, cases) in groups {
        let skipped = skipped.iter().find(|skipped| skipped.skip && skipped.group == *group);
        for case in *cases {
            let trial = trial(&world, group, *case, alone.contains(group));
            trials.push(match skipped {
                Some(skipped) => trial.with_kind(skipped.reason).with_ignored_flag(true),
                None => trial,
            });
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // Dropping the world stops Azurite. Without this line, Azurite would keep running, because `exit` drops
    // no value.
    drop(Arc::into_inner(world).expect("every case has ended"));
    conclusion.exit()
}

/// How many cases run at once: the number of cores plus one. One more case than cores is useful, because a
/// case mostly waits, e.g. for the poller or for a time-out. With even more cases at once, calls to Azurite
/// would time out on a slow machine.
fn default_threads() -> usize {
    1 + std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn trial(world: &Arc<World>, group: &str, (name, case): Case, is_alone: bool) -> Trial {
    let world = Arc::clone(world);
    Trial::test(format!("{group}::{name}"), move || {
        // Each case has its own thread, because [`failure`] keeps the report of a failed case in thread-local
        // variables.
        let thread = std::thread::Builder::new().name(failure::CASE_THREAD.into());
        let run = move || {
            let lock = &world.alone_lock;
            let _alone = is_alone.then(|| lock.write().unwrap_or_else(PoisonError::into_inner));
            let _shared = (!is_alone).then(|| lock.read().unwrap_or_else(PoisonError::into_inner));
            catch_unwind(AssertUnwindSafe(|| case(&world))).map_err(|_| failure::report())
        };
        match thread.spawn(run).expect("a thread").join() {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err("the case panicked while it wrote its own report".into()),
        }
    })
}
