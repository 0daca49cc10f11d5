//! Points in time as Axon writes them: ISO 8601 in its backups, SQLite text in UTC in its database. Both carry microseconds.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// A point in time, to the microsecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Timestamp);

impl Moment {
    /// From what a clock says.
    pub fn at(timestamp: Timestamp) -> Self {
        let whole = Timestamp::from_microsecond(timestamp.as_microsecond());
        Self(whole.unwrap_or(timestamp))
    }

    /// For a clock.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }

    /// From `2025-10-05T01:25:57.253889+00:00`. One without an offset is taken for UTC, which is the only zone that Axon keeps.
    pub fn from_iso(text: &str) -> Option<Self> {
        text.parse().ok().map(Self::at).or_else(|| Self::from_sql(text))
    }

    /// From `2025-10-05 01:25:57.253889`.
    pub fn from_sql(text: &str) -> Option<Self> {
        let local: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(local).ok().map(Self::at)
    }

    /// As backups have it. Always six digits: older Pythons read nothing else.
    pub fn to_iso(self) -> String {
        format!("{}+00:00", self.0.strftime("%Y-%m-%dT%H:%M:%S.%6f"))
    }

    /// As Django writes it to SQLite.
    pub fn to_sql(self) -> String {
        let form = if self.0.subsec_microsecond() == 0 && self.0.subsec_millisecond() == 0 {
            "%F %T"
        } else {
            "%F %T.%6f"
        };
        self.0.strftime(form).to_string()
    }

    /// `20251014_224121`: how backup directories are called.
    pub fn to_stamp(self) -> String {
        self.0.strftime("%Y%m%d_%H%M%S").to_string()
    }

    /// From `20251014_224121`.
    pub fn from_stamp(text: &str) -> Option<Self> {
        let local = DateTime::strptime("%Y%m%d_%H%M%S", text).ok()?;
        TimeZone::UTC.to_timestamp(local).ok().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_written() {
        let moment = Moment::from_iso("2025-10-05T03:25:57.253889+02:00").unwrap();
        assert_eq!(moment.to_iso(), "2025-10-05T01:25:57.253889+00:00");
        assert_eq!(moment.to_sql(), "2025-10-05 01:25:57.253889");
        assert_eq!(Moment::from_sql("2025-10-05 01:25:57.253889"), Some(moment));
        let whole = Moment::from_sql("2025-10-05 01:25:57").unwrap();
        assert_eq!(whole.to_sql(), "2025-10-05 01:25:57");
        assert_eq!(whole.to_iso(), "2025-10-05T01:25:57.000000+00:00");
        assert_eq!(whole.to_stamp(), "20251005_012557");
        assert_eq!(Moment::from_stamp("20251005_012557"), Some(whole));
        assert_eq!(Moment::from_iso("yesterday"), None);
    }
}
