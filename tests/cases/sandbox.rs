//! The platform's own wall: a component calls no host that its manifest does not name.

use dev::host::HostKind;
use end_to_end::activity::message;
use end_to_end::manifest::Manifest;
use end_to_end::stage::{POLL_KEY, Script};
use end_to_end::suite::World;
use end_to_end::web;

end_to_end::cases!(an_undeclared_host_is_refused, one_bad_entry_is_noticed);

fn an_undeclared_host_is_refused(world: &World) {
    let stage = Script::new(world).manifest(Manifest::without_loopback).start();
    // The storage is on loopback, which this manifest does not name: neither door gets through.
    stage.post(&stage.connector.host(&message("a:1", "1", "hello"))).expect_error(503, "StateUnavailable");
    stage.try_poll().expect_error(503, "QueueUnavailable");
    stage.connector.expect_silence();
    let reason = stage.wait_for_events("ledger.accept.failed", 1)[0]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("allowed_outbound_hosts"), "{reason}");
    if world.host() == HostKind::Embedded {
        let target = world.azurite().queue_authority();
        end_to_end::waiting::eventually("the host's own line about the call it denied", || {
            let log = stage.host_log();
            log.lines()
                .any(|line| line.contains(&target) && line.contains("allowed_outbound_hosts"))
                .then_some(())
        });
    }
}

fn one_bad_entry_is_noticed(world: &World) {
    // Spin's rule: the list is one thing, and a list with an entry that means nothing is refused.
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
    };
    match dev::host::Host::start(&options) {
        // Refused at the start. The embedded host says which entry it is; what Spin says depends on its version.
        Err(error) => {
            let says_which = format!("{error:#}").contains("not a host");
            assert!(says_which || world.host() == HostKind::Spin, "{error:#}");
        }
        // Or nobody is let out.
        Ok(host) => {
            let url = format!("{}/internal/poll", host.url().trim_end_matches('/'));
            let poll = http::Request::post(url).header("authorization", format!("Bearer {POLL_KEY}"));
            web::send(poll.body(web::whole("")).unwrap()).expect_error(503, "QueueUnavailable");
        }
    }
}
