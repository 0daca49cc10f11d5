//! A moment as the fleet's documents write it: RFC 3339 in UTC, with whole seconds.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// A moment, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "String")]
pub struct Moment(Timestamp);

impl Moment {
    /// The moment as it is.
    pub fn time(self) -> Timestamp {
        self.0
    }

    /// Unix seconds.
    pub fn second(self) -> i64 {
        self.0.as_second()
    }

    /// Of Unix milliseconds; outside of the calendar its edge.
    pub fn of_millis(millis: i64) -> Self {
        let edge = if millis < 0 { Timestamp::MIN } else { Timestamp::MAX };
        Timestamp::from_millisecond(millis).unwrap_or(edge).into()
    }

    /// How long ago that was; zero for what lies ahead.
    pub fn age(self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.0).max(SignedDuration::ZERO)
    }

    /// The same in whole seconds.
    pub fn age_secs(self, now: Timestamp) -> u64 {
        u64::try_from(self.age(now).as_secs()).unwrap_or(0)
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self(Timestamp::from_second(time.as_second()).unwrap_or(time))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
