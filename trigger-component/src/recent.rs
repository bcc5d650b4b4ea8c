//! What a run has delivered last.

use std::collections::VecDeque;

/// A Put whose answer was lost is repeated within seconds: the copies stand close together. However long the queue is, a run
/// remembers no more.
const REMEMBERED: usize = 512;

/// The alerts that a run has delivered last, by the names of their marks.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<String>);

impl Recent {
    pub(crate) fn remember(&mut self, name: String) {
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(name);
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.0.iter().any(|other| other == name)
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
