//! Compares the manifest `spin.toml` with the three manifests in `deploy/`, and checks the content of all
//! four manifests.

use end_to_end::manifest::{Manifest, is_loopback};
use end_to_end::suite::World;
use toml::{Table, Value};

end_to_end::cases!(
    http_manifest_equals_the_local_manifest_without_cron_and_loopback,
    cron_manifest_equals_the_local_manifest_without_loopback,
    nokick_manifest_equals_the_http_manifest_except_for_the_kick,
    manifest_joins_exactly_the_variables_in_the_list_joined,
    manifests_list_the_expected_hosts_stores_and_secrets,
);

/// The address of the *kick*: the bot's call to the poller, right after the bot has put an alert on the
/// queue.
const INTERNAL: &str = "http://poller.spin.internal";

fn http_manifest_equals_the_local_manifest_without_cron_and_loopback(_: &World) {
    let local = Manifest::local().without_cron().without_loopback();
    let hosted = from_one_folder_up(Manifest::read("deploy/spin.http.toml").table().clone());
    assert!(*local.table() == hosted, "local:\n{}\n\nhosted:\n{hosted}", local.table());
}

fn cron_manifest_equals_the_local_manifest_without_loopback(_: &World) {
    let local = Manifest::local().without_loopback();
    let service = from_one_folder_up(Manifest::read("deploy/spin.cron.toml").table().clone());
    assert!(*local.table() == service, "local:\n{}\n\nservice:\n{service}", local.table());
}

fn nokick_manifest_equals_the_http_manifest_except_for_the_kick(_: &World) {
    let without_kick = Manifest::read("deploy/spin.http.nokick.toml").table().clone();
    let mut hosted = Manifest::read("deploy/spin.http.toml")
        .with_outbound(|hosts| hosts.retain(|host| host.as_str() != Some(INTERNAL)))
        .table()
        .clone();
    hosted["variables"]["kick"]["default"] = "off".into();
    assert!(without_kick == hosted, "expected:\n{hosted}\n\nfound:\n{without_kick}");
}

/// In the manifest, a variable of a component can join several variables of the application. So the component
/// reads these variables with one call to the Spin host, and then splits the text. Each element of the list
/// `JOINED` has the name of a component's variable, and the names of the application's variables in it.
fn manifest_joins_exactly_the_variables_in_the_list_joined(_: &World) {
    let of_bot = bot_component::JOINED.as_slice();
    let of_poller = trigger_component::JOINED.as_slice();
    let manifest = Manifest::local();
    let component = |id: &str| manifest.table()["component"][id]["variables"].as_table().unwrap().clone();
    for (id, joined, alone) in
        [("bot", of_bot, &[][..]), ("poller", of_poller, &["pollkey"]), ("poller-cron", of_poller, &[])]
    {
        let mut expected: Vec<(String, Value)> =
            alone.iter().map(|name| ((*name).to_owned(), format!("{{{{ {name} }}}}").into())).collect();
        for joined in joined {
            let parts: Vec<String> =
                joined.names.iter().map(|name| format!("{name}={{{{ {name} }}}}")).collect();
            expected.push((joined.variable.to_owned(), parts.join("\u{1f}").into()));
        }
        assert_eq!(component(id), expected.into_iter().collect::<Table>(), "{id}");
    }
}

/// Changes a manifest of `deploy/` as if the file were in the folder of `spin.toml`: removes `../` from the
/// paths, and removes the member `workdir`.
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

fn manifests_list_the_expected_hosts_stores_and_secrets(_: &World) {
    for (name, expects_cron, expects_loopback) in [
        ("spin.toml", true, true),
        ("deploy/spin.cron.toml", true, false),
        ("deploy/spin.http.toml", false, false),
        ("deploy/spin.http.nokick.toml", false, false),
    ] {
        let manifest = Manifest::read(name);
        assert_eq!(manifest.table()["trigger"].get("cron").is_some(), expects_cron, "{name}");
        for (id, component) in manifest.table()["component"].as_table().unwrap() {
            let hosts = component["allowed_outbound_hosts"].as_array().unwrap();
            assert_eq!(hosts.iter().any(is_loopback), expects_loopback, "{name}: {id}");
            for host in hosts.iter().map(|host| host.as_str().unwrap()) {
                // The tables are in the same storage account as the queue. So a manifest that allows a queue
                // service has to allow the table service, too.
                let of_tables = host.replace("://*.queue.", "://*.table.");
                assert!(
                    hosts.contains(&of_tables.as_str().into()),
                    "{name}: {id}: expected {of_tables} in allowed_outbound_hosts"
                );
                let is_internal = id == "bot" && host == INTERNAL;
                assert!(
                    host.starts_with("https://") || is_loopback(&host.into()) || is_internal,
                    "{name}: {id}: {host}"
                );
                assert!(
                    !host.contains("://*:") && host != "https://*",
                    "{name}: {id}: {host} allows every host"
                );
            }
            assert_eq!(component["key_value_stores"], vec!["default"].into(), "{name}: {id}");
        }
        // Every variable whose name ends with one of these words must be declared as a secret, and no other
        // variable.
        for (variable, declaration) in manifest.table()["variables"].as_table().unwrap() {
            let is_secret = ["key", "keys", "password", "secret", "connection", "token", "certificate"]
                .iter()
                .any(|word| variable.ends_with(word));
            assert_eq!(declaration.get("secret").is_some(), is_secret, "{name}: {variable}");
        }
    }
}
