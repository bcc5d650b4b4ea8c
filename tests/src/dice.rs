//! Repeatable random numbers. The caller names the *purpose* of each number, e.g. `("delay", 3)` for the
//! delay of call 3. A number depends only on the seed and on the purpose, and not on the order in which
//! the test asks for numbers.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A source of random numbers with a fixed seed.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    /// Makes dice with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number in `0..below`. The same purpose always gives the same number.
    pub fn roll(&self, purpose: impl Hash, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0, purpose).hash(&mut hasher);
        hasher.finish() % below
    }
}
