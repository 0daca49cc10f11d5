//! Time and chance, as retries and limits need them, so that tests can do without both.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, Instant};

/// A clock that one can wait by, and a source of chance.
pub(crate) trait Clock: Send + Sync {
    /// Since some fixed moment; never goes back.
    fn now(&self) -> Duration;
    fn sleep(&self, duration: Duration);
    /// Evenly between zero and the bound. Only to spread load: nothing secret depends on it.
    fn up_to(&self, bound: Duration) -> Duration;
}

/// The machine's own.
pub(crate) struct SystemClock {
    start: Instant,
}

impl SystemClock {
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }

    fn up_to(&self, bound: Duration) -> Duration {
        // Each `RandomState` is seeded afresh.
        let random = RandomState::new().build_hasher().finish() >> 11;
        let share = random as f64 / (1_u64 << 53) as f64;
        bound.mul_f64(share)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use std::sync::Mutex;
    use std::time::Duration;

    use super::Clock;
    use crate::lock;

    /// Sleeps at once, remembers for how long, and always draws the bound.
    #[derive(Default)]
    pub(crate) struct FakeClock {
        sleeps: Mutex<Vec<Duration>>,
        passed: Mutex<Duration>,
    }

    impl FakeClock {
        pub(crate) fn sleeps(&self) -> Vec<Duration> {
            lock(&self.sleeps).clone()
        }

        pub(crate) fn advance(&self, duration: Duration) {
            *lock(&self.passed) += duration;
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Duration {
            *lock(&self.passed)
        }

        fn sleep(&self, duration: Duration) {
            lock(&self.sleeps).push(duration);
            self.advance(duration);
        }

        fn up_to(&self, bound: Duration) -> Duration {
            bound
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_stays_below_its_bound_and_differs() {
        let clock = SystemClock::start();
        let bound = Duration::from_secs(10);
        let drawn: Vec<_> = (0..100).map(|_| clock.up_to(bound)).collect();
        assert!(drawn.iter().all(|&duration| duration <= bound));
        assert!(drawn.iter().any(|&duration| duration != drawn[0]));
        assert!(clock.up_to(Duration::ZERO).is_zero());
    }
}
