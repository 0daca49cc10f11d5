//! What can be wrong with a schedule.

use thiserror::Error;

/// Why something is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ScheduleError {
    /// A frequency that is neither a word nor a pattern.
    #[error(
        "`{text}` is no frequency: {reason}; write hourly, daily, weekly, or a cron pattern of five fields (minute hour day month weekday)"
    )]
    Pattern {
        /// What was written.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A time of day beside a pattern that says it.
    #[error("the cron pattern `{text}` says the time; leave out --time")]
    TimeOfCron {
        /// The pattern.
        text: String,
    },
    /// A day beside what is not weekly.
    #[error("a day of the week goes with weekly, not with `{frequency}`")]
    NoDay {
        /// What was written.
        frequency: String,
    },
    /// An hour beside hourly.
    #[error("hourly has no hour: write 00:{minute:02} for {minute} minutes past each hour")]
    HourOfHourly {
        /// The minute that was asked for.
        minute: i8,
    },
    /// What cannot be a name.
    #[error("`{text}` is no name for a schedule: letters, digits, `-`, `_` and `.`, at most 96")]
    Name {
        /// What was written.
        text: String,
    },
    /// There is one of this name.
    #[error(
        "there is a schedule `{name}` already; remove it first, or give this one another --name"
    )]
    Exists {
        /// Its name.
        name: String,
    },
    /// There is none of this name.
    #[error("there is no schedule `{name}`{}", known_text(known))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Those that are.
        known: Vec<String>,
    },
    /// A pattern that systemd cannot say.
    #[error(
        "systemd has no way to say the pattern `{text}` of the schedule `{name}`; use the daemon or cron for it"
    )]
    NoCalendar {
        /// Which schedule.
        name: String,
        /// Its pattern.
        text: String,
    },
    /// A zone that is not in the database of zones.
    #[error("there is no time zone `{name}`; write it as in Europe/Berlin, or UTC")]
    Zone {
        /// What was written.
        name: String,
    },
}

/// What such calls return.
pub type Result<T> = std::result::Result<T, ScheduleError>;

fn known_text(known: &[String]) -> String {
    match known {
        [] => "; none is set up".to_owned(),
        known => format!("; there are {}", known.join(", ")),
    }
}
