//! The host and the fake table service of the tests.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use platform::Clock;
use platform::testing::FakeHost;
use storage_account::Account;
use storage_table::testing::FakeTables;

use crate::Tables;

/// A host whose calls a fake table service answers. Tests can inspect both.
pub(crate) struct World {
    pub(crate) host: Rc<FakeHost>,
    pub(crate) tables: Rc<RefCell<FakeTables>>,
    pub(crate) account: Account,
    pub(crate) names: Tables,
}

impl World {
    pub(crate) fn new() -> Self {
        let host = Rc::new(FakeHost::default());
        let tables = Rc::new(RefCell::new(FakeTables::default()));
        let (clock, service) = (Rc::downgrade(&host), Rc::clone(&tables));
        host.answers(move |request| {
            let now = clock.upgrade().map(|host| host.now()).unwrap_or_default();
            service.borrow_mut().answer(request, now).map(Ok)
        });
        let names = Tables::read(&*host).unwrap();
        Self { host, tables, account: Account::parse("UseDevelopmentStorage=true").unwrap(), names }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.host.elapsed.set(self.host.elapsed.get() + Duration::from_secs(seconds));
    }
}
