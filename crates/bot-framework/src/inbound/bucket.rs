//! How often keys are fetched for key ids that nobody knows.
//!
//! Strangers choose these ids, and a real roll-over brings an unknown one too. One pause for both would let a stranger put the
//! roll-over off for as long as the pause lasts.

/// So many fetches at once, if there was none for a while.
const FETCHES: i64 = 3;

/// One more after so many seconds: a flood of unknown ids puts a roll-over off by that at most.
const ONE_MORE_SECONDS: i64 = 60;

/// A bucket of fetches that fills up again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    /// When it is full, in seconds since 1970.
    pub(super) full_at: i64,
}

impl Bucket {
    /// Takes one fetch out, if there is one.
    pub(super) fn take(&mut self, now: i64) -> bool {
        const ALL_SECONDS: i64 = FETCHES * ONE_MORE_SECONDS;
        // Further ahead than an empty bucket is, only a clock that was wrong has written it.
        let is_possible = self.full_at.saturating_sub(now) <= ALL_SECONDS;
        let from = if is_possible { self.full_at.max(now) } else { now };
        let full_at = from.saturating_add(ONE_MORE_SECONDS);
        let is_there = full_at.saturating_sub(now) <= ALL_SECONDS;
        if is_there {
            self.full_at = full_at;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_471_200;

    #[test]
    fn bucket_gives_three_at_once_and_one_more_every_minute() {
        let mut bucket = Bucket::default();
        let mut taken = |at: i64| (0..1000).filter(|_| bucket.take(NOW + at)).count();
        for (at, expected) in
            [(0, 3), (59, 0), (60, 1), (119, 0), (120, 1), (179, 0), (180, 1), (60_000, 3), (60_059, 0)]
        {
            assert_eq!(taken(at), expected, "at {at}");
        }
    }

    #[test]
    fn bucket_of_a_flood_gives_seven_within_five_minutes() {
        let mut bucket = Bucket::default();
        let times: Vec<i64> = (0..3600).filter(|at| bucket.take(NOW + at)).collect();
        let most =
            times.iter().map(|from| times.iter().filter(|at| (*from..from + 300).contains(*at)).count());
        assert_eq!((most.max(), times.len()), (Some(7), 3 + 59));
    }

    #[test]
    fn bucket_that_a_wrong_clock_wrote_is_full() {
        for full_at in [i64::MAX, NOW + 1_000_000, NOW + 181, i64::MIN, 0, -1] {
            let mut bucket = Bucket { full_at };
            assert_eq!((0..10).filter(|_| bucket.take(NOW)).count(), 3, "{full_at}");
        }
    }
}
