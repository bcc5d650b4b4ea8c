//! Random bytes and numbers.

/// The trait for randomness, one of the [ports](crate) to the platform.
pub trait Randomness {
    /// Fills `buffer` with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// Returns a random number in `0..=max`. All these numbers are almost equally likely.
    fn up_to(&self, max: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        let random = u64::from_le_bytes(bytes);
        // `random * (max + 1) / 2^64` is a number in `0..=max`. Some numbers are a little more likely than
        // others. The callers accept this, e.g. for the random length of a pause.
        ((u128::from(random) * (u128::from(max) + 1)) >> 64) as u64
    }
}
