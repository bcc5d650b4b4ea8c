//! Checks that `docs/security.md` names only end-to-end cases that exist.

use end_to_end::suite::World;

end_to_end::cases!(security_document_names_only_existing_end_to_end_cases);

fn security_document_names_only_existing_end_to_end_cases(_: &World) {
    let path = dev::workspace::root().join("docs/security.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let names = document.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::"));
    // A name with two parts (`group::case`) is an end-to-end case. A name with three parts is a test of a
    // crate. This case does not check such a name.
    let names: Vec<_> = names.filter(|(_, case)| !case.contains("::")).collect();
    assert!(names.len() > 50, "expected more than 50 names of tests in the table, found {names:?}");
    let exists = |(group, case): &(&str, &str)| {
        let found = crate::GROUPS.iter().find(|(name, _)| name == group);
        found.is_some_and(|(_, cases)| cases.iter().any(|(name, _)| name == case))
    };
    let missing: Vec<_> = names.iter().filter(|name| !exists(name)).collect();
    assert!(
        missing.is_empty(),
        "{}: expected names of existing tests, found {missing:?}; correct these names",
        path.display()
    );
}
