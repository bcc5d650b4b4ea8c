//! A request that is to be signed.

/// The parts of a request that the string to sign may contain.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    /// The path of the URL as it is sent, encoded.
    pub(crate) path: &'a str,
    /// Query parameters, *decoded*.
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) body_bytes: usize,
    pub(crate) content_type: &'a str,
    /// The value of `x-ms-date`.
    pub(crate) date: &'a str,
}
