//! Limits how often tokens with unknown key ids make the bot fetch signing keys.
//!
//! A token names its signing key by a key id. If the bot does not know this id, there are two possible
//! reasons: an attacker has invented the id, or the issuer has a new signing key. The bot cannot see which
//! reason is true, so it fetches the issuer's keys in both cases.
//!
//! The limit must not be a fixed pause after each fetch. With a pause of an hour, one invented key id could
//! delay the use of a new key by an hour. So the limit is a bucket of permits. A full bucket holds three
//! permits. For each fetch, the bot takes one permit out of the bucket. If the bucket is empty, the bot does
//! not fetch. Every minute, the bucket gets one permit, until it is full.

/// The number of permits in a full bucket. Each permit allows one fetch.
const FETCHES: i64 = 3;

/// How many seconds pass until the bucket gets one more permit. Each fetch gets all keys of the issuer. So a
/// fetch for an invented key id gets a new key, too, and a flood of invented key ids delays the use of a new
/// key by at most this time.
const ONE_MORE_SECONDS: i64 = 60;

/// A bucket of permits for fetches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    /// The time at which the bucket is full again, in seconds since 1970. The number of minutes until this
    /// time, rounded up, is the number of permits that are missing from the bucket.
    pub(super) full_at: i64,
}

impl Bucket {
    /// Takes one permit out of the bucket. Returns `false` if the bucket is empty.
    pub(super) fn take(&mut self, now: i64) -> bool {
        const ALL_SECONDS: i64 = FETCHES * ONE_MORE_SECONDS;
        // An empty bucket is full again after `ALL_SECONDS`. So if `full_at` is more than `ALL_SECONDS` after
        // `now`, the clock was wrong when `full_at` was stored. The bucket then counts as full.
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
    fn flood_takes_at_most_seven_permits_out_of_the_bucket_within_five_minutes() {
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
