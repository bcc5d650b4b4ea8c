//! The fake host and the fake table service of the tests.
#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use platform::testing::FakeHost;
use platform::{Clock, TransportError};
use storage_account::Account;
use storage_table::testing::FakeTables;

use crate::Tables;

/// A fake host, and the fake table service to which the host sends its storage calls.
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
        let names = Tables::read(&*host).unwrap();
        let account = Account::parse("UseDevelopmentStorage=true").unwrap();
        let world = Self { host, tables, account, names };
        world.allow_calls(usize::MAX);
        world
    }

    /// Lets the next `calls` storage calls reach the service. Every later storage call fails. So a test can
    /// simulate a program that was killed.
    pub(crate) fn allow_calls(&self, mut calls: usize) {
        let (clock, service) = (Rc::downgrade(&self.host), Rc::clone(&self.tables));
        self.host.answers(move |request| {
            if calls == 0 {
                return Some(Err(TransportError::Denied));
            }
            calls -= 1;
            let now = clock.upgrade().map(|host| host.now()).unwrap_or_default();
            service.borrow_mut().response(request, now).map(Ok)
        });
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.host.elapsed.set(self.host.elapsed.get() + Duration::from_secs(seconds));
    }
}
