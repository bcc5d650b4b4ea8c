//! Reads the rights of an account SAS. A SAS (shared access signature) is a signed list of query parameters.
//! An *account SAS* is for whole services of a storage account. The signature (`sig`) is secret, but the
//! parameters with the rights are not secret.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/create-account-sas>.

use crate::account::{Account, Credential};
use crate::service::Service;

impl Service {
    /// The letter of the service in the SAS parameter `ss` (the services).
    pub fn sas_letter(self) -> char {
        match self {
            Self::Queue => 'q',
            Self::Table => 't',
        }
    }

    /// The letters that the bot needs in the SAS parameter `sp` (the rights). To create queues and tables,
    /// the bot also needs the letter `c` in `sp` and in `srt` ([`SasRights::may_create`]).
    pub fn sas_rights(self) -> &'static str {
        match self {
            Self::Queue => "raudp",
            Self::Table => "raud",
        }
    }
}

/// The SAS parameters that decide which calls an account SAS allows. Each letter stands for one service, type
/// or right. A SAS for only one queue or table has no `ss` and no `srt`, so `services` and `resource_types`
/// are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SasRights {
    /// `ss`: the services.
    pub services: String,
    /// `srt`: the types of resources, e.g. `o` for objects (messages and entities).
    pub resource_types: String,
    /// `sp`: the rights.
    pub permissions: String,
}

impl SasRights {
    /// Reads the query of a SAS URL. The function does not decode the values, because they consist of
    /// letters, which need no encoding.
    pub fn of_query(query: &str) -> Self {
        let value = |name: &str| {
            let mut pairs = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(other, _)| *other == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        Self { services: value("ss"), resource_types: value("srt"), permissions: value("sp") }
    }

    /// Whether the SAS gives the right with this letter in `sp`.
    pub fn has(&self, letter: char) -> bool {
        self.permissions.contains(letter)
    }

    /// Whether the SAS allows calls to this service.
    pub fn is_for(&self, service: Service) -> bool {
        self.services.contains(service.sas_letter())
    }

    /// Whether the SAS allows calls on objects (the resource type `o`): messages and entities.
    pub fn is_for_objects(&self) -> bool {
        self.resource_types.contains('o')
    }

    /// Whether the SAS allows its user to create a missing queue or table.
    pub fn may_create(&self) -> bool {
        self.has('c') && self.resource_types.contains('c')
    }

    /// Names the letters that the SAS lacks for calls to a service. Empty if the SAS lacks none.
    pub fn missing(&self, service: Service) -> String {
        let mut missing = String::new();
        let mut expect = |letter: char, parameter: &str, value: &str| {
            if !value.contains(letter) {
                missing.push_str(if missing.is_empty() { "`" } else { ", `" });
                missing.push(letter);
                missing.push_str("` in ");
                missing.push_str(parameter);
            }
        };
        expect(service.sas_letter(), "ss", &self.services);
        expect('o', "srt", &self.resource_types);
        service.sas_rights().chars().for_each(|right| expect(right, "sp", &self.permissions));
        missing
    }
}

impl Account {
    /// Names the letters that the account's SAS lacks for calls to a service. Empty if the SAS lacks none, or
    /// if the account has no SAS.
    pub fn missing_in_sas(&self, service: Service) -> String {
        match &self.credential {
            Credential::Sas(query) => SasRights::of_query(query).missing(service),
            Credential::SharedKey { .. } | Credential::Entra(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_letters_of_a_sas_are_named_for_each_service() {
        for (query, queue, table) in [
            ("?sv=1&ss=qt&srt=co&sp=rdacup&sig=x", "", ""),
            ("ss=qt&srt=o&sp=raud&sig=x", "`p` in sp", ""),
            ("ss=q&srt=co&sp=rdacup&sig=x", "", "`t` in ss"),
            (
                "ss=t&srt=c&sp=acup&sig=x",
                "`q` in ss, `o` in srt, `r` in sp, `d` in sp",
                "`o` in srt, `r` in sp, `d` in sp",
            ),
        ] {
            let account =
                Account::parse(&format!("AccountName=contoso;SharedAccessSignature={query}")).unwrap();
            let missing = [Service::Queue, Service::Table].map(|service| account.missing_in_sas(service));
            assert_eq!(missing, [queue, table], "{query}");
        }
        let with_key = Account::parse("UseDevelopmentStorage=true").unwrap();
        assert_eq!(with_key.missing_in_sas(Service::Table), "");
    }
}
