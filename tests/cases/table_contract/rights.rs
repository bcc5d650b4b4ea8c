//! Tests of the table client with Azurite (the emulator of Azure Storage): a wrong account key, and shared
//! access signatures (SAS) with and without the needed rights.

use end_to_end::sas::{self, account_sas};
use end_to_end::suite::World;
use end_to_end::table::Table;
use storage_table::{Batch, Deleted, ETag, Entity, Inserted, Key, Operation, TableError};

use super::{everything, written_version};

/// Expects that every operation fails with the status 403 and the error code `expected_code`. The client's
/// error must contain `expected_text`.
#[track_caller]
fn expect_not_authorized(table: &Table, expected_code: &str, expected_text: &str) {
    let entity = Entity::new(Key::new("p", "r")).with("n", 1);
    let etag = ETag::from("W/\"datetime'2026-11-27T11%3A15%3A04.5528866Z'\"".to_owned());
    let errors = table.with(async |client| {
        [
            ("create", client.create().await.err()),
            ("insert", client.insert(&entity).await.err()),
            ("get", client.get(&entity.key).await.err()),
            ("replace", client.replace(&entity, &etag).await.err()),
            ("merge", client.merge(&entity, None).await.err()),
            ("put", client.put(&entity).await.err()),
            ("delete", client.delete(&entity.key, None).await.err()),
            ("query", client.query(&everything(), None).await.err()),
            ("batch", client.batch(&[Operation::Insert(&entity)]).await.err()),
        ]
    });
    for (name, error) in errors {
        let Some(error) = error else { panic!("{name}: expected a refusal, found success") };
        let TableError::NotAuthorized { status, code, .. } = &error else { panic!("{name}: {error:?}") };
        assert_eq!((*status, code.as_str()), (403, expected_code), "{name}: {error}");
        assert!(error.to_string().contains(expected_text), "{name}: {error}");
    }
}

pub(super) fn wrong_account_key_is_not_authorized(world: &World) {
    let connection = world.azurite().connection_string();
    let (before, after) = connection.split_once("AccountKey=").unwrap();
    let rest = after.split_once(';').unwrap().1;
    let wrong = format!("{before}AccountKey=d3Jvbmc=;{rest}");
    expect_not_authorized(&Table::new(&wrong, "contractkey"), "AuthorizationFailure", "storageconnection");
}

fn with_sas(world: &World, services: &str, resource_types: &str, permissions: &str, name: &str) -> Table {
    let azurite = world.azurite();
    let sas = account_sas(services, resource_types, permissions);
    let connection = sas::connection_string(&azurite.queue_authority(), &azurite.table_authority(), &sas);
    Table::new(&connection, name)
}

pub(super) fn sas_without_table_rights_is_refused_and_the_error_names_the_needed_rights(world: &World) {
    let needs = "ss=qt, srt=co, sp=rdacup";
    for (services, resource_types, permissions, code) in [
        ("q", "sco", "rwdlacup", "AuthorizationServiceMismatch"),
        ("qt", "s", "rwdlacup", "AuthorizationResourceTypeMismatch"),
        ("qt", "sco", "p", "AuthorizationPermissionMismatch"),
    ] {
        let table = with_sas(world, services, resource_types, permissions, "contractsas");
        expect_not_authorized(&table, code, needs);
    }
}

/// If a SAS lacks a right, the client's error says that a SAS needs `ss=qt, srt=co, sp=rdacup`. This test
/// checks that a SAS with exactly these rights is enough.
pub(super) fn sas_with_table_rights_is_enough(world: &World) {
    let table = with_sas(world, "qt", "co", "rdacup", "contractsasenough");
    let entity = Entity::new(Key::new("p", "r'ü")).with("n", 1);
    table.with(async |client| {
        let Ok(Inserted::New(etag)) = client.insert(&entity).await else { panic!("expected a new entity") };
        let etag = written_version(client.replace(&entity, &etag).await);
        written_version(client.merge(&entity, Some(&etag)).await);
        client.put(&entity).await.unwrap();
        client.put_merge(&entity).await.unwrap();
        assert_eq!(client.batch(&[Operation::Put(&entity)]).await, Ok(Batch::Done));
        assert_eq!(client.query(&everything(), None).await.unwrap().entities, std::slice::from_ref(&entity));
        assert_eq!(client.delete(&entity.key, None).await, Ok(Deleted::Done));
    });
}
