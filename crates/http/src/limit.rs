//! How often somebody may: buckets that fill again with time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// More are not remembered: then those that are full are forgotten, and after that everybody waits for one bucket.
const MOST: usize = 4096;

/// A bucket for each key: so many at once, and one more after each pause.
#[derive(Debug)]
pub struct Limit<K> {
    at_once: f64,
    pause: Duration,
    buckets: Mutex<HashMap<Option<K>, Bucket>>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl<K: Eq + Hash + Clone> Limit<K> {
    /// So many at once, and one more after each pause.
    pub fn new(at_once: u32, pause: Duration) -> Self {
        Self { at_once: f64::from(at_once), pause, buckets: Mutex::default() }
    }

    /// Takes one; `false` if there is none.
    pub fn take(&self, key: &K) -> bool {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = Some(key.clone());
        if !buckets.contains_key(&key) && buckets.len() >= MOST {
            buckets.retain(|_, bucket| self.filled(*bucket, now).left < self.at_once);
            if buckets.len() >= MOST {
                key = None;
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { left: self.at_once, at: now });
        *bucket = self.filled(*bucket, now);
        let has_one = bucket.left >= 1.0;
        if has_one {
            bucket.left -= 1.0;
        }
        has_one
    }

    fn filled(&self, bucket: Bucket, now: Instant) -> Bucket {
        let gained = now.duration_since(bucket.at).as_secs_f64() / self.pause.as_secs_f64();
        Bucket { left: (bucket.left + gained).min(self.at_once), at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limit = Limit::new(3, Duration::from_millis(40));
        assert!((0..3).all(|_| limit.take(&"a")));
        assert!(!limit.take(&"a"));
        assert!(limit.take(&"b"), "each key has its own");
        std::thread::sleep(Duration::from_millis(60));
        assert!(limit.take(&"a"));
    }

    #[test]
    fn memory_is_bounded() {
        let limit = Limit::new(1, Duration::from_secs(600));
        (0..MOST + 100).for_each(|key| _ = limit.take(&key));
        assert!(limit.buckets.lock().unwrap().len() <= MOST + 1);
    }
}
