//! A fake Spin host with settings, a fake queue service and a fake table service, for the unit tests of this
//! component.
#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use platform::testing::{FakeHost, response};
use platform::{Clock, Deadline};
use state::Conversations;
use storage_table::testing::FakeTables;

use crate::settings::{BotSettings, CallerSettings};

/// The response of the fake queue service to Put Message, the call that puts a message on the queue. The
/// response has only the elements that the bot reads.
const STORED: &str = "<QueueMessagesList><QueueMessage><MessageId>m</MessageId><PopReceipt>r</PopReceipt>\
                      </QueueMessage></QueueMessagesList>";

/// A fake Spin host, and the settings of a bot with `authmode=anonymous`.
pub(crate) struct Stage {
    pub(crate) host: FakeHost,
    pub(crate) settings: BotSettings,
    refuses_table_calls: Rc<Cell<bool>>,
    /// Whether the queue service refuses every call.
    pub(crate) refuses_queue_calls: Rc<Cell<bool>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let host = FakeHost::with_settings([
            ("authmode", "anonymous"),
            ("storageconnection", "UseDevelopmentStorage=true"),
            ("queuename", "bot-queue"),
        ]);
        let settings = BotSettings::read(&host, CallerSettings::read(&host).unwrap()).unwrap();
        let mut service = FakeTables::default();
        service.entities_mut("proactivebotconversations");
        service.entities_mut("proactivebotledger");
        let service = RefCell::new(service);
        let refuses_table_calls = Rc::new(Cell::new(false));
        let refuses_queue_calls = Rc::new(Cell::new(false));
        let (no_tables, no_queue, now) =
            (refuses_table_calls.clone(), refuses_queue_calls.clone(), host.now());
        host.answers(move |request| {
            if request.uri().port_u16() == Some(10_001) {
                let is_delete = request.method() == http::Method::DELETE;
                return Some(Ok(match no_queue.get() {
                    true => response(403, ""),
                    false if is_delete => response(204, ""),
                    false => response(201, STORED),
                }));
            }
            if no_tables.get() {
                return Some(Ok(response(403, "")));
            }
            service.borrow_mut().response(request, now).map(Ok)
        });
        Self { host, settings, refuses_table_calls, refuses_queue_calls }
    }

    pub(crate) fn conversations(&self) -> Conversations<'_, FakeHost> {
        self.settings.conversations(&self.host, Deadline::after(&self.host, Duration::from_secs(10)))
    }

    /// The number of HTTP calls that the bot has made.
    pub(crate) fn calls(&self) -> usize {
        self.host.sent.borrow().len()
    }

    /// Makes the table service refuse every call from now on.
    pub(crate) fn refuse_tables(&self) {
        self.refuses_table_calls.set(true);
    }
}
