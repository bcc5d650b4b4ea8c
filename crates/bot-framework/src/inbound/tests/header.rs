//! The `Authorization` header: exactly `Bearer <token>`, once.

use super::*;

#[test]
fn only_one_spelling_is_accepted() {
    let token = token();
    let value = |text: &str| text.replace("TOKEN", &token).into_bytes();
    let long = format!("Bearer {}", "a".repeat(8193)).into_bytes();
    let rows: Vec<(&str, Vec<Vec<u8>>, &str)> = vec![
        ("exactly so", vec![value("Bearer TOKEN")], "channel"),
        ("no header", vec![], "TokenMissing"),
        ("empty", vec![value("")], "NotBearer"),
        ("scheme only", vec![value("Bearer")], "NotBearer"),
        ("scheme and space only", vec![value("Bearer ")], "NotBearer"),
        ("token only", vec![value("TOKEN")], "NotBearer"),
        ("lower case", vec![value("bearer TOKEN")], "NotBearer"),
        ("upper case", vec![value("BEARER TOKEN")], "NotBearer"),
        ("two spaces", vec![value("Bearer  TOKEN")], "NotBearer"),
        ("tab", vec![value("Bearer\tTOKEN")], "NotBearer"),
        ("space before", vec![value(" Bearer TOKEN")], "NotBearer"),
        ("space after", vec![value("Bearer TOKEN ")], "NotBearer"),
        ("no-break space", vec![value("Bearer\u{a0}TOKEN")], "NotBearer"),
        ("comma-separated", vec![value("Bearer TOKEN, Bearer TOKEN")], "NotBearer"),
        ("scheme parameter", vec![value("Bearer token=TOKEN")], "NotBearer"),
        ("quoted", vec![value("Bearer \"TOKEN\"")], "NotBearer"),
        ("another scheme", vec![value("Basic TOKEN")], "NotBearer"),
        ("two schemes", vec![value("Bearer Bearer TOKEN")], "NotBearer"),
        ("the same header twice", vec![value("Bearer TOKEN"), value("Bearer TOKEN")], "NotBearer"),
        ("a second header", vec![value("Bearer TOKEN"), value("Basic dTpw")], "NotBearer"),
        ("not ASCII", vec![value("Bearer TOKEN\u{e4}")], "NotBearer"),
        ("more than 8 KiB", vec![long], "TokenTooLong"),
    ];
    for (what, values, expected) in rows {
        let values: Vec<_> = values.iter().map(Vec::as_slice).collect();
        assert_eq!(outcome(call_with(&bot(), &values, &activity())), expected, "{what}");
    }
}

#[test]
fn what_is_refused_at_sight_costs_no_call() {
    let host = bot();
    for value in ["", "bearer x", "Bearer x", "Bearer a.b.c", "Bearer e30.e30.e30"] {
        call_with(&host, &[value.as_bytes()], &activity()).expect_err(value);
    }
    assert!(host.sent.borrow().is_empty() && host.store.borrow().is_empty());
}
