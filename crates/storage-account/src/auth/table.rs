//! Builds the [string to sign](super) of the table service. The string has five lines: the method,
//! Content-MD5, Content-Type, Date, and the path with the account's name. The string has no lines for `x-ms-`
//! headers. Of the query parameters, the string contains only `comp`.

use super::to_sign::ToSign;

pub(super) fn string_to_sign(request: &ToSign<'_>) -> String {
    let ToSign { method, account, path, content_type, date, .. } = request;
    // The line for Content-MD5 is empty. The line for Date has the value of x-ms-date.
    let mut text = [method, "\n\n", content_type, "\n", date, "\n/", account, path].concat();
    if let Some((_, comp)) = request.query.iter().find(|(name, _)| *name == "comp") {
        text.extend(["?comp=", comp]);
    }
    text
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::{DATE, EMULATOR_KEY, sign};
    use super::*;

    const JSON: &str = "application/json";

    #[test]
    fn signatures_of_vectors_t1_to_t6_t8_and_t9_equal_the_known_signatures() {
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        let filter = || vec![("$filter", "PartitionKey eq 'lease'".to_owned()), ("$top", "10".to_owned())];
        let acl = || vec![("comp", "acl".to_owned()), ("timeout", "5".to_owned())];
        const EMULATOR_PATH: &str = "/devstoreaccount1";
        const LEASE: &str = "/vectors1(PartitionKey='lease',RowKey='run')";
        const ENCODED: &str = "/vectors1(PartitionKey='19%3Aabc%40thread.v2',RowKey='o%27%27brien')";
        for (name, method, content_type, path, query, signature) in [
            (
                "T1",
                "POST",
                JSON,
                format!("{EMULATOR_PATH}/Tables"),
                vec![],
                "K2jw7pKXMHep5BJuUnDIlB9cHAOIfA0KHPi4Adj1gXI=",
            ),
            (
                "T2",
                "POST",
                JSON,
                format!("{EMULATOR_PATH}/vectors1"),
                vec![],
                "XuWR993ERsctrPFDPIxVnGRKHWB54585Rpe2MAN5WAo=",
            ),
            (
                "T3",
                "GET",
                "",
                format!("{EMULATOR_PATH}{LEASE}"),
                vec![],
                "fOFxBRp5RL1bbXrGfjKkhyHxylBIcXmUYSsUq8UKcL8=",
            ),
            (
                "T4",
                "PUT",
                JSON,
                format!("{EMULATOR_PATH}{ENCODED}"),
                vec![],
                "NnVzRlYwzYyzyGzym+oEcqQOSD+LyVTfNncIru+ecyw=",
            ),
            (
                "T5",
                "GET",
                "",
                format!("{EMULATOR_PATH}/vectors1()"),
                filter(),
                "lJW4ejjy7cQiiLq4LCfXfXlKbGMHx+VOUhW3Rx90IV4=",
            ),
            (
                "T6",
                "GET",
                "",
                format!("{EMULATOR_PATH}/vectors1"),
                acl(),
                "fMnWU9rt1BOsJg6189eAPdgdIukEyhFzlNBIpNIUhgg=",
            ),
            (
                "T8",
                "POST",
                "multipart/mixed; boundary=batch_a1",
                format!("{EMULATOR_PATH}/$batch"),
                vec![],
                "c7U0QYQQP9VppngIx0G98Oi1nZbVhBZAuQfI4IvcARM=",
            ),
            ("T9", "GET", "", LEASE.to_owned(), vec![], "Y3mwIDM/OkL5a+GXRJri0LS8KCjuiAAF5YSuqXdj0O8="),
        ] {
            let to_sign = ToSign {
                method,
                account: "devstoreaccount1",
                path: &path,
                query: &query,
                body_bytes: 7,
                content_type,
                date: DATE,
            };
            assert_eq!(sign(&key, &string_to_sign(&to_sign)), signature, "{name}");
        }
    }

    /// The client does not use Shared Key Lite (another kind of authorization). `string_to_sign` cannot build
    /// the strings for Shared Key Lite, so this test contains two such strings.
    #[test]
    fn signatures_of_shared_key_lite_equal_the_known_signatures() {
        let lease = "vectors1(PartitionKey='lease',RowKey='run')";
        let text = format!("{DATE}\n/devstoreaccount1/devstoreaccount1/{lease}");
        let key = STANDARD.decode(EMULATOR_KEY).unwrap();
        assert_eq!(sign(&key, &text), "O8Nb/JxFio5npeKCUfe8Oz6kYm4x6RzoVAYrRlWSN9M=", "T7");
        let text = format!("{DATE}\n/contoso/state(PartitionKey='lease',RowKey='run')");
        let key: Vec<u8> = (0..64).collect();
        assert_eq!(sign(&key, &text), "9ktNjBzGtZcxZ9AzDdkbcO80IGx9YffbPDcAif/wuuo=", "contoso");
    }

    #[test]
    fn signature_for_an_account_of_the_public_cloud_equals_the_known_signature() {
        let to_sign = ToSign {
            method: "GET",
            account: "contoso",
            path: "/state(PartitionKey='lease',RowKey='run')",
            query: &[],
            body_bytes: 0,
            content_type: "",
            date: DATE,
        };
        let key: Vec<u8> = (0..64).collect();
        let signature = sign(&key, &string_to_sign(&to_sign));
        assert_eq!(signature, "LRcsXIm1NYCndLAILAFrqTA1zUVvS9jmwbXb80vtfyk=");
    }
}
