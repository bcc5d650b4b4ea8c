//! Tests of the sandbox: a component can call only the servers that the manifest names in
//! `allowed_outbound_hosts`. A *Spin host* is a program that runs the components: Spin, or the *embedded
//! host* of this repository.

use std::time::Duration;

use dev::host::HostKind;
use end_to_end::activity::message;
use end_to_end::manifest::Manifest;
use end_to_end::stage::{POLL_KEY, Script};
use end_to_end::suite::World;
use end_to_end::web;

end_to_end::cases!(undeclared_server_is_refused, malformed_outbound_host_is_refused);

fn undeclared_server_is_refused(world: &World) {
    let stage = Script::new(world).manifest(Manifest::without_loopback).start();
    // The storage account (Azurite) is on this machine, and the manifest of this test allows no calls to this
    // machine. So all storage calls of the bot and of the poller fail.
    stage.post(&stage.connector.host(&message("a:1", "1", "hello"))).expect_error(503, "StateUnavailable");
    stage.try_poll().expect_error(503, "QueueUnavailable");
    stage.connector.expect_silence();
    let reason = stage.wait_for_events("ledger.accept.failed", 1)[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("allowed_outbound_hosts"), "{reason}");
    if world.host() == HostKind::Embedded {
        let target = world.azurite().queue_authority();
        end_to_end::waiting::eventually("the host's log line about the denied call", || {
            let log = stage.host_log();
            log.lines()
                .any(|line| line.contains(&target) && line.contains("allowed_outbound_hosts"))
                .then_some(())
        });
    }
}

fn malformed_outbound_host_is_refused(world: &World) {
    // If one entry of `allowed_outbound_hosts` is malformed, Spin refuses the whole list.
    let folder = tempfile::tempdir().unwrap();
    let manifest = Manifest::local().without_cron().with_outbound(|hosts| hosts.push("not a host".into()));
    let options = dev::host::HostOptions {
        kind: world.host(),
        manifest: manifest.write(folder.path()),
        listen: format!("127.0.0.1:{}", end_to_end::closed_port::free_port()),
        variables: [("authmode", "anonymous"), ("pollkey", POLL_KEY)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        state_dir: folder.path().join("state"),
        quiet: false,
        log: None,
        print_prefix: false,
        meter: false,
        variable_delay: Duration::ZERO,
    };
    match dev::host::Host::start(&options) {
        // Some Spin hosts refuse to start with this manifest. The error of the embedded host names the
        // malformed entry. The error of Spin depends on the version of Spin.
        Err(error) => {
            let names_the_entry = format!("{error:#}").contains("not a host");
            assert!(names_the_entry || world.host() == HostKind::Spin, "{error:#}");
        }
        // Other Spin hosts start. But then the poller cannot call any server.
        Ok(host) => {
            let url = format!("{}/internal/poll", host.url().trim_end_matches('/'));
            let poll = http::Request::post(url).header("authorization", format!("Bearer {POLL_KEY}"));
            web::send(poll.body(web::whole("")).unwrap()).expect_error(503, "QueueUnavailable");
        }
    }
}
