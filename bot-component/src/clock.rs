//! Reads the time zone of the person who sent an activity.

use bot_framework::Activity;
use chrono::DateTime;
use serde_json::Value;
use zones::Zone;

/// Returns the time zone of the person. Teams names the zone in the entity `clientInfo`, and other channels
/// name the zone in `localTimezone`. If the bot knows neither the zone in `clientInfo` nor the zone in
/// `localTimezone`, the result is the UTC offset in `localTimestamp`. Without a valid `localTimestamp`, the
/// result is `None`.
pub(crate) fn zone_of(activity: &Activity) -> Option<Zone> {
    let text = |name: &str| activity.rest.get(name).and_then(Value::as_str);
    let entities = activity.rest.get("entities").and_then(Value::as_array).into_iter().flatten();
    let mut clients = entities.filter(|entity| entity.get("type").is_some_and(|kind| kind == "clientInfo"));
    let of_client = clients.find_map(|client| Zone::parse(client.get("timezone")?.as_str()?));
    let of_activity = || text("localTimezone").and_then(Zone::parse);
    let of_time = || {
        let time = DateTime::parse_from_rfc3339(text("localTimestamp")?).ok()?;
        Some(Zone::of_offset(*time.offset()))
    };
    of_client.or_else(of_activity).or_else(of_time)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn zone_of_a_person_is_the_first_known_zone_in_the_activity() {
        let client = |zone: &str| json!([{"type": "mention"}, {"type": "clientInfo", "timezone": zone}]);
        let time = "2026-11-29T22:51:05.9908157+05:30";
        for (change, expected) in [
            (json!({}), None),
            (
                json!({"entities": client("Europe/Berlin"), "localTimezone": "Asia/Tokyo"}),
                Some("Europe/Berlin"),
            ),
            (json!({"entities": client("Mars/Olympus"), "localTimezone": "Asia/Tokyo"}), Some("Asia/Tokyo")),
            (json!({"entities": client("x"), "localTimestamp": time}), Some("+05:30")),
            (json!({"localTimestamp": "yesterday"}), None),
            (json!({"localTimestamp": 7, "localTimezone": 7, "entities": [7, {"type": "clientInfo"}]}), None),
        ] {
            let mut activity = json!({"type": "message", "conversation": {"id": "c"}});
            activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            let activity = Activity::parse(activity.to_string().as_bytes()).unwrap();
            assert_eq!(zone_of(&activity).map(|zone| zone.to_string()).as_deref(), expected, "{change}");
        }
    }
}
