//! What a person wants of backups: how much may be lost, how long a return may take, how old a proof may be. As default, and by node.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A span of time as the configuration writes it: `"90s"`, `"10m"` (minutes), `"1h"`, `"30d"`, `"2w"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Span(u64);

impl Span {
    /// Of so many seconds.
    pub const fn of_secs(secs: u64) -> Self {
        Self(secs)
    }

    /// In seconds.
    pub fn secs(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is no span of time: a number above 0 and s, m (minutes), h, d or w, as in \"1h\""
            )
        };
        let unit = text.chars().last().ok_or_else(bad)?;
        let number: u64 = text[..text.len() - unit.len_utf8()].parse().map_err(|_| bad())?;
        let size = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 7 * 86_400,
            _ => return Err(bad()),
        };
        let secs = number.checked_mul(size).filter(|secs| (1..=i64::MAX as u64 / 2).contains(secs));
        secs.map(Self).ok_or_else(bad)
    }
}

/// What is wanted of one node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// So much may be lost: the newest complete snapshot is no older.
    pub rpo: Option<Span>,
    /// So long may a return take, as a drill measures it.
    pub rto: Option<Span>,
    /// The last drill is no older, and there is one.
    pub drill: Option<Span>,
    /// The last check of its data is no older, and there is one.
    pub verify: Option<Span>,
}

/// What is wanted of all nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Where a node has none of its own.
    pub usual: Wanted,
    /// By the node's name.
    pub nodes: BTreeMap<String, Wanted>,
}

impl Targets {
    /// What is wanted of a node: its own, else the usual.
    pub fn of(&self, node: &str) -> Wanted {
        let own = self.nodes.get(node).copied().unwrap_or_default();
        Wanted {
            rpo: own.rpo.or(self.usual.rpo),
            rto: own.rto.or(self.usual.rto),
            drill: own.drill.or(self.usual.drill),
            verify: own.verify.or(self.usual.verify),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_number_and_a_unit() {
        let cases =
            [("90s", 90), ("10m", 600), ("1h", 3600), ("30d", 2_592_000), ("2w", 1_209_600)];
        for (text, secs) in cases {
            assert_eq!(text.parse::<Span>().map(Span::secs), Ok(secs), "{text}");
        }
        for bad in [
            "",
            "h",
            "0h",
            "1",
            "1 h",
            "-1h",
            "1y",
            "1µ",
            "99999999999999999999d",
            "9223372036854775807w",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_nodes_own_target_beats_the_usual_one() {
        let span = |text: &str| text.parse::<Span>().ok();
        let usual = Wanted { rpo: span("1h"), rto: span("10m"), ..Wanted::default() };
        let own = Wanted { rpo: span("5m"), ..Wanted::default() };
        let targets = Targets { usual, nodes: [("guts".to_owned(), own)].into() };
        assert_eq!(targets.of("guts"), Wanted { rpo: span("5m"), ..usual });
        assert_eq!(targets.of("relay"), usual);
    }
}
