//! Anonymous mode (`authmode=anonymous`). In this mode, the bot checks no tokens. It accepts an activity only
//! if the `serviceUrl` (the address of the Connector) is on this machine.

use end_to_end::activity::message;
use end_to_end::stage::Stage;
use end_to_end::suite::World;

end_to_end::cases!(anonymous_mode_calls_loopback_only, anonymous_mode_is_logged_as_a_warning);

fn anonymous_mode_calls_loopback_only(world: &World) {
    let stage = Stage::start(world);
    for service_url in [
        "https://smba.trafficmanager.net/amer/",
        "http://169.254.169.254/latest/",
        "http://10.0.0.1:9200/",
        "http://localhost.evil.example/",
        "http://localhost@evil.example/",
        "http://evil.example\\@localhost/",
        "file:///etc/passwd",
        "not a URL",
        "",
    ] {
        for kind in ["message", "conversationUpdate", "typing"] {
            let mut activity = message("a:1", "1", "hello");
            activity["serviceUrl"] = service_url.into();
            activity["type"] = kind.into();
            stage.post(&activity).expect_error(403, "ServiceUrlNotAllowed");
        }
    }
    assert!(!stage.queue.exists(), "a refused request must not create the queue");
}

fn anonymous_mode_is_logged_as_a_warning(world: &World) {
    let stage = Stage::start(world);
    stage.say(&message("a:1", "1", "hello"));
    assert_eq!(stage.wait_for_events("auth.anonymous", 1)[0]["level"], "warn");
    // The bot must send no token with its reply. If a request has a token, the fake Connector fails the case.
    stage.connector.wait_for(1);
}
