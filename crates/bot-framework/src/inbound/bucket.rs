//! Limits how often tokens with unknown key ids make the bot fetch signing keys.
//!
//! A key id is unknown if an attacker has invented the id, or if the issuer has a new signing key. The bot
//! cannot see which of the two is true, so it fetches the keys in both cases. The limit must not be a fixed
//! pause after each fetch: if the pause was an hour, one invented key id could delay the use of a new key by
//! an hour. So the limit is a bucket of permitted fetches. A full bucket holds three. Whenever the bot wants
//! to fetch keys, it takes one out of the bucket. If the bucket is empty, the bot does not fetch. Every
//! minute, one more permitted fetch is added.

/// How many fetches a full bucket allows at once.
const FETCHES: i64 = 3;

/// How many seconds pass until one more fetch is added to the bucket. A flood of unknown key ids delays the
/// use of a new key by at most this time.
const ONE_MORE_SECONDS: i64 = 60;

/// A bucket of allowed fetches. Over time, fetches are added until the bucket is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    /// The time at which the bucket is full, in seconds since 1970.
    pub(super) full_at: i64,
}

impl Bucket {
    /// Takes one fetch out of the bucket. Returns false if the bucket is empty.
    pub(super) fn take(&mut self, now: i64) -> bool {
        const ALL_SECONDS: i64 = FETCHES * ONE_MORE_SECONDS;
        // An empty bucket is full again after `ALL_SECONDS`. So if `full_at` is more than `ALL_SECONDS` after
        // `now`, the clock was wrong when `full_at` was stored.
        let is_possible = self.full_at.saturating_sub(now) <= ALL_SECONDS;
        let from = if is_possible { self.full_at.max(now) } else { now };
        let full_at = from.saturating_add(ONE_MORE_SECONDS);
        let is_allowed = full_at.saturating_sub(now) <= ALL_SECONDS;
        if is_allowed {
            self.full_at = full_at;
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_471_200;

    #[test]
    fn bucket_allows_three_fetches_at_once_and_one_more_every_minute() {
        let mut bucket = Bucket::default();
        let mut taken = |at: i64| (0..1000).filter(|_| bucket.take(NOW + at)).count();
        for (at, expected) in
            [(0, 3), (59, 0), (60, 1), (119, 0), (120, 1), (179, 0), (180, 1), (60_000, 3), (60_059, 0)]
        {
            assert_eq!(taken(at), expected, "at {at}");
        }
    }

    #[test]
    fn flood_takes_at_most_seven_fetches_out_of_the_bucket_within_five_minutes() {
        let mut bucket = Bucket::default();
        let times: Vec<i64> = (0..3600).filter(|at| bucket.take(NOW + at)).collect();
        let most =
            times.iter().map(|from| times.iter().filter(|at| (*from..from + 300).contains(*at)).count());
        assert_eq!((most.max(), times.len()), (Some(7), 3 + 59), "(most in 5 minutes, all in an hour)");
    }

    #[test]
    fn bucket_whose_stored_time_is_impossible_or_past_is_full() {
        for full_at in [i64::MAX, NOW + 1_000_000, NOW + 181, i64::MIN, 0, -1] {
            let mut bucket = Bucket { full_at };
            assert_eq!((0..10).filter(|_| bucket.take(NOW)).count(), 3, "{full_at}");
        }
    }
}
