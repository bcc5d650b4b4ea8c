//! Randomness.

/// The port for randomness.
pub trait Randomness {
    /// Fills `buffer` with bytes that nobody can guess.
    fn fill(&self, buffer: &mut [u8]);

    /// A number in `0..=max`, evenly enough for jitter.
    fn up_to(&self, max: u64) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        let random = u64::from_le_bytes(bytes);
        // Multiply and shift maps the whole range without a modulo's bias that would matter here.
        ((u128::from(random) * (u128::from(max) + 1)) >> 64) as u64
    }
}
