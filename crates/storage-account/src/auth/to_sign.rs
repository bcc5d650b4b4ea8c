//! The input for the [string to sign](super).

/// The parts of a request that the string to sign can contain.
pub(crate) struct ToSign<'a> {
    pub(crate) method: &'a str,
    pub(crate) account: &'a str,
    /// The path of the URL, encoded as in the request.
    pub(crate) path: &'a str,
    /// The query parameters, *not* encoded.
    pub(crate) query: &'a [(&'a str, String)],
    pub(crate) body_bytes: usize,
    pub(crate) content_type: &'a str,
    /// The value of the header `x-ms-date`.
    pub(crate) date: &'a str,
}
