//! When a schedule's moments come: a cron pattern on the wall clock of a time zone.
//!
//! Hourly, daily and weekly are patterns too, so that there is one rule for the two days a year on which the clock is changed: a fixed
//! time that does not exist is taken right after the gap, one that comes twice is taken once; `*` and `*/n` follow the clock.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::{Result, ScheduleError};

/// A pattern and the zone whose clock it means.
#[derive(Debug, Clone)]
pub struct Rhythm {
    pattern: Pattern,
    zone: TimeZone,
}

/// A cron pattern of five fields, or of what people say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    text: String,
    cron: Cron,
}

impl Pattern {
    /// Of `hourly`, `daily`, `weekly` or a cron pattern, with the time of day where that makes sense.
    ///
    /// # Errors
    /// If it is none of these, or a time stands where it means nothing.
    pub fn of(frequency: &str, time: Option<Time>, day: Option<Weekday>) -> Result<Self> {
        if frequency != "weekly" && day.is_some() {
            return Err(ScheduleError::NoDay { frequency: frequency.to_owned() });
        }
        let at = time.unwrap_or(Time::midnight());
        let (minute, hour) = (at.minute(), at.hour());
        match frequency {
            "hourly" if time.is_some_and(|at| at.hour() != 0) => {
                Err(ScheduleError::HourOfHourly { minute })
            }
            "hourly" => format!("{minute} * * * *").parse(),
            "daily" => format!("{minute} {hour} * * *").parse(),
            "weekly" => {
                let day = day.unwrap_or(Weekday::Sunday).to_sunday_zero_offset();
                format!("{minute} {hour} * * {day}").parse()
            }
            _ if time.is_some() => Err(ScheduleError::TimeOfCron { text: frequency.to_owned() }),
            _ => frequency.parse(),
        }
    }

    /// The same as calendar expressions of systemd: two where a day of the month or of the week will do. `None` for `L`, `W` and `#`,
    /// which systemd cannot say.
    pub fn calendar(&self) -> Option<Vec<String>> {
        let pattern = &self.cron.pattern;
        let fields = [&pattern.days, &pattern.days_of_week];
        if fields.iter().any(|field| field.has_modifiers()) {
            return None;
        }
        let clock = format!(
            "{}:{}:00",
            listed(&pattern.hours.values(), 24),
            listed(&pattern.minutes.values(), 60)
        );
        let months = listed(&pattern.months.values(), 12);
        let by_date = format!("*-{months}-{} {clock}", listed(&pattern.days.values(), 31));
        let days: Vec<&str> = pattern.days_of_week.values().iter().filter_map(weekday).collect();
        let by_day = format!("{} *-{months}-* {clock}", days.join(","));
        Some(match (pattern.is_dom_wildcard(), pattern.is_dow_wildcard()) {
            (_, true) => vec![by_date],
            (true, false) => vec![by_day],
            (false, false) => vec![by_date, by_day],
        })
    }

    /// What it says in words.
    pub fn describe(&self) -> String {
        self.cron.describe()
    }
}

impl FromStr for Pattern {
    type Err = ScheduleError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let bad = |reason: String| ScheduleError::Pattern { text: text.to_owned(), reason };
        let fields = text.split_whitespace().count();
        if fields != 5 && !text.starts_with('@') {
            let has = if fields == 1 { "one field".to_owned() } else { format!("{fields} fields") };
            return Err(bad(format!("it has {has} instead of five")));
        }
        let cron = Cron::from_str(text).map_err(|error| bad(plain(&error.to_string())))?;
        // A pattern that no day matches would be refused only when the daemon first asks.
        let start = Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
        cron.find_next_occurrence(&start, false).map_err(|error| bad(plain(&error.to_string())))?;
        Ok(Self { text: text.to_owned(), cron })
    }
}

/// What the library says of a pattern, as the end of a sentence of ours.
fn plain(said: &str) -> String {
    let said = said.strip_prefix("Component error: ").unwrap_or(said).trim_end_matches('.');
    let mut letters = said.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

impl TryFrom<String> for Pattern {
    type Error = ScheduleError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Rhythm {
    /// A pattern on the clock of a zone.
    ///
    /// # Errors
    /// If there is no such zone.
    pub fn new(pattern: Pattern, zone: &str) -> Result<Self> {
        let unknown = |_| ScheduleError::Zone { name: zone.to_owned() };
        Ok(Self { pattern, zone: TimeZone::get(zone).map_err(unknown)? })
    }

    /// Whose clock it means.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// Its moments after one, in order; ends where the calendar of the pattern does.
    pub fn after(&self, moment: Timestamp) -> impl Iterator<Item = Timestamp> {
        let start = moment.to_zoned(self.zone.clone());
        self.pattern.cron.clone().iter_after(start).map(|zoned| zoned.timestamp())
    }

    /// The last moment at or before one.
    pub fn last(&self, moment: Timestamp) -> Option<Timestamp> {
        let zoned = moment.to_zoned(self.zone.clone());
        let found = self.pattern.cron.find_previous_occurrence(&zoned, true);
        found.ok().map(|zoned| zoned.timestamp())
    }

    /// How many moments lie after one and up to another; counting stops at `most`.
    pub fn count(&self, after: Timestamp, until: Timestamp, most: usize) -> usize {
        self.after(after).take_while(|slot| *slot <= until).take(most).count()
    }

    /// The longest time between two moments in the year after one: what an alert must wait for.
    pub fn longest_pause(&self, from: Timestamp) -> SignedDuration {
        let year = SignedDuration::from_hours(366 * 24);
        let mut longest = SignedDuration::ZERO;
        let mut last = from;
        for slot in self.after(from).take(1 + 366 * 24) {
            longest = longest.max(slot.duration_since(last));
            if slot.duration_since(from) > year {
                break;
            }
            last = slot;
        }
        longest
    }
}

/// `*` for all, or the values with commas.
fn listed(values: &[u16], all: usize) -> String {
    if values.len() == all {
        return "*".to_owned();
    }
    let values: Vec<String> = values.iter().map(|value| format!("{value:02}")).collect();
    values.join(",")
}

/// Sunday is 0; some write 7.
fn weekday(number: &u16) -> Option<&'static str> {
    let names = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    names.get(usize::from(*number)).copied()
}
