//! The cron entry point of the poller. Spin's cron trigger calls this entry point regularly.

use end_to_end::activity::message;
use end_to_end::stage::Script;
use end_to_end::suite::World;

end_to_end::cases!(
    cron_tick_delivers_an_alert,
    cron_tick_without_messages_logs_a_line,
    cron_tick_with_a_wrong_setting_logs_the_reason
);

fn cron_tick_delivers_an_alert(world: &World) {
    let stage = Script::new(world).with_cron().start();
    stage.say(&message("a:cron", "1", "hello"));
    let both = stage.connector.wait_for(2);
    assert_eq!((both[0].text(), both[1].text()), ("Queued: hello", "Alert: hello"));
    let run = stage.wait_for_events("drain", 1).into_iter().find(|run| run["delivered"] == 1);
    let run = run.unwrap_or_else(|| {
        stage
            .wait_for_events("drain", 3)
            .into_iter()
            .find(|run| run["delivered"] == 1)
            .expect("a run that delivered")
    });
    assert_eq!(run["entryPoint"], "cron", "{run}");
}

fn cron_tick_without_messages_logs_a_line(world: &World) {
    let stage = Script::new(world).with_cron().start();
    for run in stage.wait_for_events("drain", 3) {
        assert_eq!(
            (&run["level"], &run["received"], &run["delivered"]),
            (&"info".into(), &0.into(), &0.into()),
            "{run}"
        );
    }
}

fn cron_tick_with_a_wrong_setting_logs_the_reason(world: &World) {
    let stage = Script::new(world).with_cron().variable("queuename", "Not_A_Queue").start();
    let run = stage.wait_for_events("drain", 1).remove(0);
    assert_eq!(run["level"], "error");
    assert!(run["error"].as_str().unwrap().contains("queuename"), "{run}");
}
