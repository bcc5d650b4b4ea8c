//! Repeatable random numbers. A number depends only on the seed and on its purpose. The order of the calls
//! does not change it.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A source of random numbers with a fixed seed.
#[derive(Debug, Clone, Copy)]
pub struct Dice(u64);

impl Dice {
    /// The dice of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number in `0..below`, for this purpose.
    pub fn roll(&self, purpose: impl Hash, below: u64) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.0, purpose).hash(&mut hasher);
        hasher.finish() % below
    }
}
