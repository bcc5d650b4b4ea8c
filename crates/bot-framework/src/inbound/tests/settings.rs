//! The variables.

use super::*;

#[test]
fn a_wrong_value_is_reported_by_name() {
    for (settings, name) in [
        (&[("microsoftappid", "")][..], "microsoftappid"),
        (&[("emulatortokens", "yes")], "emulatortokens"),
        (
            &[("emulatortokens", "accept"), ("microsoftapptenantid", "contoso.example")],
            "microsoftapptenantid",
        ),
        (&[("openidmetadata", "http://login.botframework.com/v1/x")], "openidmetadata"),
        (&[("openidmetadata", "http://localhost.evil.example/v1/x")], "openidmetadata"),
        (&[("openidmetadata", "https://user@login.example/v1/x")], "openidmetadata"),
        (&[("openidmetadata", "https://login.example/v1/x?y")], "openidmetadata"),
        (&[("openidmetadata", "login.example")], "openidmetadata"),
        (&[("loginendpoint", "http://login.example")], "loginendpoint"),
    ] {
        let error = auth(&bot_with(settings)).expect_err(name);
        assert_eq!(error.name, name);
        for (_, value) in settings {
            assert!(
                value.is_empty() || !error.to_string().contains(value),
                "the value is not repeated: {error}"
            );
        }
    }
}

#[test]
fn a_domain_name_will_do_while_nothing_is_compared_with_it() {
    auth(&bot_with(&[("microsoftapptenantid", "contoso.example")])).unwrap();
}
