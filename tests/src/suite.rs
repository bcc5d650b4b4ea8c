//! Runs the cases with libtest-mimic. All cases share one Azurite. The components of all cases run in the
//! same kind of host: the embedded host of this repository, or real Spin.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use dev::azurite::{Azurite, AzuritePorts, StorageKey};
use dev::host::HostKind;
use libtest_mimic::{Arguments, Trial};

use crate::failure;

/// The environment that all cases share.
#[derive(Debug)]
pub struct World {
    azurite: OnceLock<Azurite>,
    host: HostKind,
    /// The lock that makes some cases run alone. A case that must run alone takes the write lock, and every
    /// other case takes a read lock.
    machine: RwLock<()>,
}

impl World {
    /// The Azurite of this test run. The first case that needs Azurite starts it. Each case uses its own
    /// queues and tables.
    pub fn azurite(&self) -> &Azurite {
        let start = || AzuritePorts::free().and_then(|ports| Azurite::start(ports, StorageKey::well_known()));
        let start = || start().expect("Azurite starts");
        self.azurite.get_or_init(start)
    }

    /// Which host runs the components: `E2E_HOST=embedded` (default) or `spin`.
    pub fn host(&self) -> HostKind {
        self.host
    }
}

/// A test: a name and a function that panics if it fails.
pub type Case = (&'static str, fn(&World));

/// Lists the cases of a module. If a case is missing from the list, nothing calls its function. The compiler
/// then warns about dead code, and the checks of the project fail.
#[macro_export]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        pub(crate) const CASES: &[$crate::suite::Case] = &[$((stringify!($name), $name)),+];
    };
}

/// A group of cases that is skipped if this machine lacks a program. The test run then lists the cases of the
/// group as ignored, with the reason.
#[derive(Debug)]
pub struct Skipped {
    /// The group's name.
    pub group: &'static str,
    /// The reason, as a text for people.
    pub reason: &'static str,
    /// Whether this machine lacks the program.
    pub skip: bool,
}

/// Reads from the variable `E2E_HOST` which host runs the components. If the value is unknown, this function
/// ends the process.
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

/// Runs the groups of cases and ends the process with libtest's exit code. While a case of a group in `alone`
/// runs, no other case runs, because a case with a high load makes the calls of other cases time out.
pub fn run(groups: &[(&str, &[Case])], skipped: &[Skipped], alone: &[&str]) -> ! {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert_with(default_threads);
    failure::install_hook();
    if let Err(error) = dev::process_group::end_with_us() {
        eprintln!("{error:#}");
        std::process::exit(2);
    }
    let world = Arc::new(World { azurite: OnceLock::new(), host: chosen_host(), machine: RwLock::default() });
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
    // `exit` drops no value, so Azurite would keep running. This line drops the world and stops Azurite.
    drop(Arc::into_inner(world).expect("every case has ended"));
    conclusion.exit()
}

/// How many cases run at once: the number of cores plus one. One more case than cores is useful, because a
/// case mostly waits: for the end of a run, or for a time-out. If still more cases ran at once, the calls to
/// Azurite would time out on a slow machine.
fn default_threads() -> usize {
    1 + std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn trial(world: &Arc<World>, group: &str, (name, case): Case, is_alone: bool) -> Trial {
    let world = Arc::clone(world);
    Trial::test(format!("{group}::{name}"), move || {
        // Each case has its own thread, because [`failure`] keeps the report in thread-local variables.
        let thread = std::thread::Builder::new().name(failure::CASE_THREAD.into());
        let run = move || {
            let machine = &world.machine;
            let _alone = is_alone.then(|| machine.write().unwrap_or_else(PoisonError::into_inner));
            let _shared = (!is_alone).then(|| machine.read().unwrap_or_else(PoisonError::into_inner));
            catch_unwind(AssertUnwindSafe(|| case(&world))).map_err(|_| failure::report())
        };
        match thread.spawn(run).expect("a thread").join() {
            Ok(result) => result.map_err(Into::into),
            Err(_) => Err("the case panicked while it wrote its own report".into()),
        }
    })
}
