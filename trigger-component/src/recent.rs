//! What a run has delivered last.

use std::collections::VecDeque;

use crate::held::hash_of;

/// A Put whose answer was lost is repeated within seconds: the copies stand close together. However long the queue is, a run
/// remembers no more.
const REMEMBERED: usize = 512;

/// The alerts that a run has delivered last, by the names of their marks, each with its hash: hundreds of names that begin
/// alike are not compared for every alert.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<(u64, String)>);

impl Recent {
    pub(crate) fn remember(&mut self, name: String) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((hash_of(&name), name));
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        let hash = hash_of(name);
        self.0.iter().any(|other| other.0 == hash && other.1 == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut recent = Recent::default();
        for index in 0..=REMEMBERED {
            recent.remember(index.to_string());
        }
        assert!(!recent.holds("0") && recent.holds("1") && recent.holds(&REMEMBERED.to_string()));
    }
}
