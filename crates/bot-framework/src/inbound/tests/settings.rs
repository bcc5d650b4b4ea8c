//! Tests of the variables that [`InboundAuth`] and [`BotIdentity`] read.

use super::*;

#[test]
fn variable_with_a_wrong_value_is_refused_and_the_error_does_not_contain_the_value() {
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
                "the error must not contain the value: {error}"
            );
        }
    }
}

#[test]
fn tenant_as_a_domain_name_is_accepted_without_emulatortokens() {
    auth(&bot_with(&[("microsoftapptenantid", "contoso.example")])).unwrap();
}
