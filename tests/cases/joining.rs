//! Activities of the type `conversationUpdate`, which report that a conversation has changed. If the bot
//! itself has joined, the bot sends a greeting.

use end_to_end::activity::message;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use serde_json::{Value, json};

end_to_end::cases!(bot_greets_once_after_joining, change_that_does_not_add_the_bot_gets_no_greeting);

fn update(stage: &Stage, change: Value) -> Value {
    let mut activity = stage.connector.host(&message("a:joining", "1", ""));
    activity["type"] = "conversationUpdate".into();
    activity.as_object_mut().unwrap().remove("text");
    activity.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    activity
}

fn bot_greets_once_after_joining(world: &World) {
    let stage = Stage::start(world);
    let bot = message("a:joining", "1", "")["recipient"].take();
    // The activity has no id, as on Web Chat. Its list `membersAdded` names a person and the bot, as on
    // Teams.
    let mut activity = update(&stage, json!({"membersAdded": [{"id": "29:somebody"}, bot]}));
    activity.as_object_mut().unwrap().remove("id");
    assert_eq!(stage.post(&activity).expect_status(200).json(), json!({}));

    let greeting = stage.connector.wait_for(1).remove(0);
    assert_eq!(greeting.conversation().as_deref(), Some("a:joining"));
    assert_eq!(greeting.reply_to(), None);
    assert_eq!(greeting.body["type"], "message");
    assert_eq!(greeting.body["from"], activity["recipient"]);
    assert_eq!(greeting.body["recipient"], activity["from"]);
    assert!(!greeting.text().is_empty());
    assert_eq!(stage.queue.count(), 0);
}

fn change_that_does_not_add_the_bot_gets_no_greeting(world: &World) {
    let stage = Stage::start(world);
    for change in [
        json!({}),
        json!({"membersAdded": []}),
        json!({"membersAdded": null}),
        json!({"membersAdded": [{"id": "29:somebody"}]}),
        json!({"membersRemoved": [{"id": "28:00000000-0000-0000-0000-000000000001"}]}),
        json!({"topicName": "a new topic"}),
    ] {
        let response = stage.post(&update(&stage, change.clone()));
        assert_eq!((response.status, response.json()), (200, json!({})), "{change}: {}", response.describe());
    }
    stage.connector.expect_silence();
}
