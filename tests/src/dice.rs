//! Makes random numbers that are the same in each test run with the same seed (start value). The caller names
//! the *purpose* of each number, e.g. `("delay", 3)` for the delay of call 3. The number depends on the seed
//! and on the purpose. The order in which a test asks for numbers has no effect.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A source of random numbers with a fixed seed.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    /// Makes dice with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number in `0..below`. The same seed, purpose and `below` always give the same number.
    pub fn roll(&self, purpose: impl Hash, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0, purpose).hash(&mut hasher);
        hasher.finish() % below
    }
}
