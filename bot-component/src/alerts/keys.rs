//! `alertkey`: who may send alerts.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use platform::{Secret, Settings, SettingsError, bearer};

/// The keys that are valid now: one, or two while they are being changed.
#[derive(Debug)]
pub(super) struct AlertKeys(Vec<Secret>);

impl AlertKeys {
    /// Reads the variable: keys separated by commas. `None` closes the routes.
    pub(super) fn read(settings: &impl Settings) -> Result<Option<Self>, SettingsError> {
        let text = settings.setting("alertkey")?;
        let keys: Vec<_> = text.split(',').filter_map(|key| Secret::new(key.trim())).collect();
        match keys.len() {
            0 => Ok(None),
            1 | 2 => Ok(Some(Self(keys))),
            _ => Err(SettingsError::new("alertkey", "must be one key, or two separated by a comma")),
        }
    }

    /// Whether the header `Authorization: Bearer <key>` brings one of them.
    pub(super) fn admit(&self, headers: &HeaderMap) -> bool {
        let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let Some(candidate) = bearer(header) else { return false };
        // Every key is compared, so that the time does not tell which one nearly matched.
        self.0.iter().fold(false, |admitted, key| key.matches(candidate) | admitted)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use platform::testing::FakeHost;

    use super::*;

    #[test]
    fn one_key_or_two_at_once() {
        for (keys, header, expected) in [
            ("a", "Bearer a", Some(true)),
            ("a", "Bearer b", Some(false)),
            ("a", "Bearer ", Some(false)),
            ("a", "bearer a", Some(true)),
            ("a", "Basic a", Some(false)),
            ("a", "a", Some(false)),
            ("a, b", "Bearer a", Some(true)),
            ("a, b", "Bearer b", Some(true)),
            ("a, b", "Bearer a, b", Some(false)),
            ("a,", "Bearer a", Some(true)),
            ("a,", "Bearer ", Some(false)),
            ("", "Bearer ", None),
            (" , ", "Bearer ", None),
        ] {
            let host = FakeHost::with_settings([("alertkey", keys)]);
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(header))]);
            let admitted = AlertKeys::read(&host).unwrap().map(|keys| keys.admit(&headers));
            assert_eq!(admitted, expected, "{keys:?} {header:?}");
            let stranger = AlertKeys::read(&host).unwrap().is_some_and(|keys| keys.admit(&HeaderMap::new()));
            assert!(!stranger, "{keys:?} without a header");
        }
        let error = AlertKeys::read(&FakeHost::with_settings([("alertkey", "hunter1,hunter2,hunter3")]))
            .expect_err("three keys");
        assert!(!error.to_string().contains("hunter"), "{error}");
    }
}
