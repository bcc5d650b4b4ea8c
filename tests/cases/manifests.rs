//! `deploy/spin.http.toml` is `spin.toml`, but for what no hosted platform has.

use end_to_end::manifest::{Manifest, is_loopback};
use end_to_end::suite::World;
use toml::{Table, Value};

end_to_end::cases!(the_hosted_manifest_differs_in_nothing_else, hosted_and_local_say_what_they_should);

fn the_hosted_manifest_differs_in_nothing_else(_: &World) {
    let local = Manifest::local().without_cron().without_loopback();
    let hosted = from_one_folder_up(Manifest::read("deploy/spin.http.toml").table().clone());
    assert!(*local.table() == hosted, "local:\n{}\n\nhosted:\n{hosted}", local.table());
}

/// The hosted manifest stands in a folder of its own, so its paths begin one folder up.
fn from_one_folder_up(mut manifest: Table) -> Table {
    let up = |value: &mut Value| {
        let path = value
            .as_str()
            .and_then(|path| path.strip_prefix("../"))
            .expect("a path that begins one folder up");
        *value = path.to_owned().into();
    };
    for component in manifest["component"].as_table_mut().unwrap().iter_mut().map(|(_, component)| component)
    {
        up(&mut component["source"]);
        let build = component["build"].as_table_mut().unwrap();
        assert_eq!(build.remove("workdir"), Some("..".into()));
        build["watch"].as_array_mut().unwrap().iter_mut().for_each(up);
    }
    manifest
}

fn hosted_and_local_say_what_they_should(_: &World) {
    for (name, expects_loopback) in [("spin.toml", true), ("deploy/spin.http.toml", false)] {
        let manifest = Manifest::read(name);
        assert_eq!(manifest.table()["trigger"].get("cron").is_some(), expects_loopback, "{name}");
        for (id, component) in manifest.table()["component"].as_table().unwrap() {
            let hosts = component["allowed_outbound_hosts"].as_array().unwrap();
            assert_eq!(hosts.iter().any(is_loopback), expects_loopback, "{name}: {id}");
            for host in hosts.iter().map(|host| host.as_str().unwrap()) {
                assert!(host.starts_with("https://") || is_loopback(&host.into()), "{name}: {id}: {host}");
                assert!(
                    !host.contains("://*:") && host != "https://*",
                    "{name}: {id}: {host} allows everything"
                );
            }
            assert_eq!(component["key_value_stores"], vec!["default"].into(), "{name}: {id}");
        }
        // Every variable that is a secret is declared as one.
        for (variable, declaration) in manifest.table()["variables"].as_table().unwrap() {
            let is_secret = ["key", "password", "secret", "connection", "token", "certificate"]
                .iter()
                .any(|word| variable.ends_with(word));
            assert_eq!(declaration.get("secret").is_some(), is_secret, "{name}: {variable}");
        }
    }
}
