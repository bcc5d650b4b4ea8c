//! The *doctor* (`cargo dev doctor`) checks a deployment. Its *probes* are calls to the storage account,
//! which find out whether the credentials have the necessary rights. In these cases, the storage account is
//! in the emulator Azurite. The tests in the crate `doctor` use fakes instead.

use ::doctor::{EnvFile, Examination, Machine, Manifest, Status, block_on, examine};
use dev::workspace::root;
use end_to_end::queue::Queue;
use end_to_end::sas::{self, account_sas};
use end_to_end::suite::World;

end_to_end::cases!(
    credentials_with_every_right_have_no_problem_and_probes_change_nothing,
    each_missing_right_of_a_sas_is_named,
    wrong_account_key_is_reported_for_both_services,
);

/// Examines a storage account. Returns the problems in the section `storage` of the doctor's report.
fn problems(connection: &str, queue: &str) -> Vec<String> {
    let manifest = Manifest::read(&root().join("spin.toml")).unwrap();
    // With `authmode=anonymous`, the doctor calls only the storage account.
    let lines = [
        ("AUTHMODE", "anonymous"),
        ("STORAGECONNECTION", connection),
        ("QUEUENAME", queue),
        ("TABLEPREFIX", "doctortables"),
    ];
    let lines: String =
        lines.iter().map(|(name, value)| format!("SPIN_VARIABLE_{name}='{value}'\n")).collect();
    let env = Some(EnvFile::parse(&lines, &manifest));
    let examination = Examination { manifest, env, ..Examination::default() };
    let report = block_on(examine(&Machine::default(), &examination));
    let storage = report.with(Status::Problem).filter(|line| line.section == "storage");
    storage.map(|line| line.text.clone()).collect()
}

fn sas_connection(world: &World, services: &str, resource_types: &str, permissions: &str) -> String {
    let sas = account_sas(services, resource_types, permissions);
    let azurite = world.azurite();
    sas::connection_string(&azurite.queue_authority(), &azurite.table_authority(), &sas)
}

fn credentials_with_every_right_have_no_problem_and_probes_change_nothing(world: &World) {
    let key = world.azurite().connection_string();
    let queue = Queue::new(&key, "doctor-queue");
    queue.put("hello");
    for connection in [key.clone(), sas_connection(world, "qt", "co", "rdacup")] {
        assert_eq!(problems(&connection, queue.name()), [""; 0]);
    }
    let messages = queue.with(async |client| client.get(32, 1).await).unwrap();
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert_eq!(messages[0].dequeue_count, 1, "expected that no probe leased the message");
    assert!(!queue.poison().exists() && !Queue::new(&key, "cargo-dev-doctor").exists());
}

fn each_missing_right_of_a_sas_is_named(world: &World) {
    let queue = Queue::new(&world.azurite().connection_string(), "doctor-rights");
    queue.put("hello");
    for (services, permissions, expected) in [
        ("q", "rdacup", "`t` is missing in ss"),
        ("t", "rdacup", "`q` is missing in ss"),
        ("qt", "dacup", "`r` (read) is missing in sp"),
        ("qt", "rdcup", "`a` (add) is missing in sp"),
        ("qt", "rdacp", "`u` (update) is missing in sp"),
        ("qt", "racup", "`d` (delete) is missing in sp"),
        ("qt", "rdacu", "`p` (process) is missing in sp"),
    ] {
        let found = problems(&sas_connection(world, services, "co", permissions), queue.name());
        assert!(found.iter().any(|text| text.contains(expected)), "{services} {permissions}: {found:?}");
    }
    // In this SAS, `sp` was changed after the signature was made. So all rights are in `sp`, but Azurite
    // refuses the SAS, because the signature covers `sp`.
    let changed = sas_connection(world, "qt", "co", "rdacu").replace("sp=rdacu", "sp=rdacup");
    let found = problems(&changed, queue.name());
    assert!(!found.is_empty() && found.iter().all(|text| text.contains("does not accept")), "{found:?}");
}

fn wrong_account_key_is_reported_for_both_services(world: &World) {
    let connection = world.azurite().connection_string();
    let (before, after) = connection.split_once("AccountKey=").unwrap();
    let wrong = format!("{before}AccountKey=d3Jvbmc=;{}", after.split_once(';').unwrap().1);
    let found = problems(&wrong, "doctor-key");
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|text| text.contains("does not accept the credentials")), "{found:?}");
}
