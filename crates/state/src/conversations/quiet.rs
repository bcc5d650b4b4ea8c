//! Records a person's quiet hours (the command `quiet`), and deletes them (`quiet off`). Most alerts of
//! programs wait until the quiet hours end. The quiet hours have their own row, so a write of another row
//! does not change the hours.

use chrono::{DateTime, Utc};
use platform::Host;
use storage_table::Entity;
use zones::ClockSpan;

use super::Conversations;
use super::key::{ConversationKey, Row};
use super::record::key_of;
use crate::StateError;

impl<H: Host> Conversations<'_, H> {
    /// Records the person's quiet hours, even if the conversation has no record.
    pub async fn set_quiet(
        &self,
        key: &ConversationKey,
        hours: ClockSpan,
        now: DateTime<Utc>,
    ) -> Result<(), StateError> {
        let (from, to) = hours.minutes();
        let entity = Entity::new(key_of(key, &Row::Quiet)).with("from", from).with("to", to);
        self.table.put(&entity.with_int64("at", now.timestamp_millis())).await?;
        Ok(())
    }

    /// Records that the person wants alerts at all hours.
    pub async fn end_quiet(&self, key: &ConversationKey) -> Result<(), StateError> {
        self.table.delete(&key_of(key, &Row::Quiet), None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use platform::Clock;
    use platform::testing::run;
    use zones::Zone;

    use super::super::testing::{Stage, key, place, with, write_entity};
    use super::super::{Quiet, Recorded, Sign};
    use super::*;

    fn night() -> ClockSpan {
        ClockSpan::parse("22:00-07:00").unwrap()
    }

    #[test]
    fn quiet_hours_have_the_zone_of_the_record_or_utc() {
        let stage = Stage::new();
        let berlin = Zone::parse("Europe/Berlin");
        let record = |zone| {
            let conversations = stage.conversations().in_zone(zone);
            run(conversations.record_activity(&with(|_| {}), Sign::Message, None)).unwrap();
        };
        let quiet = || run(stage.conversations().delivery_state(&key())).unwrap().quiet;
        record(None);
        assert_eq!(quiet(), None);
        run(stage.conversations().set_quiet(&key(), night(), stage.host.now())).unwrap();
        assert_eq!(quiet(), Some(Quiet { hours: night(), zone: Zone::UTC }));
        for (zone, expected) in [
            (Zone::parse("+05:30"), Zone::parse("+05:30")),
            (berlin, berlin),
            (None, berlin),
            (Zone::parse("+01:00"), berlin),
        ] {
            record(zone);
            assert_eq!(quiet().map(|quiet| quiet.zone), expected);
        }
        let day = ClockSpan::parse("12:00-13:00").unwrap();
        run(stage.conversations().set_quiet(&key(), day, stage.host.now())).unwrap();
        assert_eq!(stage.conversation().quiet.map(|quiet| quiet.hours), Some(day));
        run(stage.conversations().end_quiet(&key())).unwrap();
        run(stage.conversations().end_quiet(&key())).unwrap();
        assert_eq!(quiet(), None);
    }

    #[test]
    fn quiet_hours_without_a_readable_record_are_found_and_invalid_hours_count_as_none() {
        let stage = Stage::new();
        run(stage.conversations().set_quiet(&key(), night(), stage.host.now())).unwrap();
        let quiet = || run(stage.conversations().delivery_state(&key())).unwrap().quiet;
        assert_eq!(quiet(), Some(Quiet { hours: night(), zone: Zone::UTC }));
        let (partition, row) = place();
        for (from, to) in [(-1, 5), (5, 5), (0, 1440), (0, 100_000)] {
            write_entity(&partition, &format!("{row}.w"), |entity| entity.with("from", from).with("to", to));
            assert_eq!(quiet(), None, "{from} {to}");
        }
    }

    #[test]
    fn zone_that_is_known_costs_no_call_and_a_new_zone_is_written() {
        let stage = Stage::new();
        let mut known = None;
        let mut record = |zone: &str| {
            let conversations = stage.conversations().in_zone(Zone::parse(zone));
            let calls = stage.calls();
            let recorded = run(conversations.record_activity(&with(|_| {}), Sign::Message, known.as_ref()));
            if let Recorded::Stored(fingerprint) = recorded.unwrap() {
                known = Some(fingerprint);
            }
            stage.calls() - calls
        };
        assert!(record("Europe/Berlin") > 0);
        assert_eq!(record("Europe/Berlin"), 0);
        assert_eq!(record("+02:00"), 0, "an offset does not replace a name");
        assert_eq!(record("nowhere"), 0, "an activity without a zone brings nothing new");
        assert!(record("America/New_York") > 0);
        assert_eq!(record("America/New_York"), 0);
    }

    #[test]
    fn group_has_no_zone() {
        let stage = Stage::new();
        let group = with(|json| json["conversation"]["conversationType"] = "groupChat".into());
        let conversations = stage.conversations().in_zone(Zone::parse("Europe/Berlin"));
        run(conversations.record_activity(&group, Sign::Message, None)).unwrap();
        assert_eq!(stage.conversation().zone, None);
    }
}
