//! One rule judged: what is the highest, whether the live state can tell, what runs backwards.

use std::collections::BTreeMap;

use super::compare::{is_empty, is_unused, lower_numbers, lower_signatures, lower_signed, raise};
use super::{Doubt, Finding, Gap, Rewind, Ruling, Step};
use crate::fence::known::{Known, Record};
use crate::fence::look::{Look, Seen};
use crate::fence::mark::{At, Content, Field, Mark, Place, Value};
use crate::fence::remedy::offers;
use crate::profile::{FenceKind, FenceRule, MarkSource};

/// Why a live state that was read does not count.
const BEHIND: &str =
    "the live state is behind what was recorded, so it is not the one that was in use last";

/// Why the wallet of a running node does not count.
const STRANGER: &str =
    "the node that runs now has another wallet: what the lost one has signed since is unknown";

/// One rule and what it is judged by.
pub(super) struct Case<'a> {
    pub(super) rule: &'a FenceRule,
    pub(super) known: &'a Known,
    pub(super) now: At,
}

/// Marks of one rule, by what they are of.
type Values = BTreeMap<Place, Value>;

impl Case<'_> {
    pub(super) fn judge(&self, snapshot: &Look, live: Option<&Look>) -> Ruling {
        let (held, unreadable) = match snapshot.of(&self.rule.name) {
            Some(Seen::Read(marks)) => (self.values(marks), None),
            Some(Seen::Absent(_)) => (Values::new(), None),
            Some(Seen::Unreadable(reason)) => (Values::new(), Some(reason.clone())),
            None => (Values::new(), Some("the snapshot's state was not looked at".to_owned())),
        };
        let (live, why_not) = self.live(live, &held);
        let is_live = why_not.is_none();
        let mut highest = self.highest(&held, live.as_ref());
        if self.is_wallet() && is_live {
            // A key that never signed does no harm if the node makes it again.
            highest.retain(|place, value| held.contains_key(place) || !is_unused(value));
        }
        let rewinds = self.rewinds(&highest, &held);
        let is_nothing = self.is_safe_without() && held.values().all(is_empty);
        let (finding, targets) = match (unreadable, why_not) {
            (None, None) if rewinds.is_empty() => (Finding::Clear, self.marks(&highest)),
            (None, None) => (Finding::Rewinds(rewinds), self.marks(&highest)),
            (None, Some(_)) if highest.is_empty() || is_nothing => {
                (Finding::Clear, self.marks(&highest))
            }
            (Some(reason), None) => (Finding::Unreadable(reason), self.marks(&highest)),
            (unreadable, Some(reason)) => {
                let reason = unreadable.map_or(reason.clone(), |also| format!("{reason}; {also}"));
                let doubt = self.doubt(reason, &highest, rewinds);
                (Finding::Unknown(doubt), self.marks(&self.raised(&highest)))
            }
        };
        self.ruling(finding, targets, is_live)
    }

    fn ruling(&self, finding: Finding, targets: Vec<Mark>, is_live: bool) -> Ruling {
        let is_clear = finding == Finding::Clear;
        Ruling {
            raises_itself: self.is_wallet() && !is_clear && !targets.is_empty(),
            rule: self.rule.name.clone(),
            component: self.rule.component.clone(),
            kind: self.rule.kind,
            about: self.rule.about.clone(),
            finding,
            offers: if is_clear { Vec::new() } else { offers(self.rule, &targets, is_live) },
            targets,
        }
    }

    fn is_wallet(&self) -> bool {
        matches!(self.rule.mark, MarkSource::Minima(_))
    }

    /// The live marks, and why they do not tell how far the state has come.
    fn live(&self, live: Option<&Look>, held: &Values) -> (Option<Values>, Option<String>) {
        match live.map(|look| look.of(&self.rule.name)) {
            None => (None, Some("the live node is gone".to_owned())),
            Some(None) => (None, Some("the live state was not looked at".to_owned())),
            Some(Some(Seen::Absent(what))) => {
                (None, Some(format!("the live state is gone: {what}")))
            }
            Some(Some(Seen::Unreadable(why))) => {
                (None, Some(format!("the live state cannot be read: {why}")))
            }
            Some(Some(Seen::Read(marks))) => {
                let live = self.values(marks);
                if self.is_stranger(&live, held) {
                    return (None, Some(STRANGER.to_owned()));
                }
                let why_not = self.is_behind(&live).then(|| BEHIND.to_owned());
                (Some(live), why_not)
            }
        }
    }

    /// Whether a wallet has no key of the one that is restored: a new node, or somebody else's.
    fn is_stranger(&self, live: &Values, held: &Values) -> bool {
        let is_own = |place: &Place| self.known.record(place).is_some() || held.contains_key(place);
        let is_known = !held.is_empty() || self.known.of_rule(&self.rule.name).next().is_some();
        self.is_wallet() && is_known && !live.is_empty() && !live.keys().any(is_own)
    }

    /// Whether numbers of the live state are lower than recorded: somebody began anew, or put something older in place.
    fn is_behind(&self, live: &Values) -> bool {
        let mut recorded = self.known.of_rule(&self.rule.name);
        recorded.any(|(place, record)| match (&record.highest, live.get(place)) {
            (Value::Content(_), _) => false,
            (highest, live) => self
                .steps(highest, live, None)
                .iter()
                .any(|step| matches!(step, Step::Number { .. })),
        })
    }

    fn values(&self, marks: &[Mark]) -> Values {
        let own = marks.iter().filter(|mark| mark.rule == self.rule.name);
        let mut values = Values::new();
        for mark in own {
            let joined =
                values.get(&mark.place()).and_then(|value: &Value| value.join(&mark.value));
            values.insert(mark.place(), joined.unwrap_or_else(|| mark.value.clone()));
        }
        values
    }

    /// The highest of record, live state and snapshot. For content: what is live, or was recorded last.
    fn highest(&self, held: &Values, live: Option<&Values>) -> Values {
        let mut highest = held.clone();
        let recorded = self.known.of_rule(&self.rule.name);
        let recorded = recorded.map(|(place, record)| (place, &record.highest));
        for (place, value) in recorded.chain(live.into_iter().flatten()) {
            let joined = highest.get(place).and_then(|known| known.join(value));
            highest.insert(place.clone(), joined.unwrap_or_else(|| value.clone()));
        }
        highest
    }

    fn rewinds(&self, highest: &Values, held: &Values) -> Vec<Rewind> {
        let mut rewinds = Vec::new();
        for (place, from) in highest {
            let record = self.known.record(place);
            for step in self.steps(from, held.get(place), record) {
                if self.is_wallet() && matches!(step, Step::Number { by: 0, .. }) {
                    continue;
                }
                let Place { key, chain, .. } = place.clone();
                rewinds.push(Rewind { key, chain, step });
            }
        }
        rewinds
    }

    fn steps(&self, from: &Value, to: Option<&Value>, record: Option<&Record>) -> Vec<Step> {
        match (from, to) {
            (_, to) if self.is_safe_without() && to.is_none_or(is_empty) => Vec::new(),
            (Value::Content(from), Some(Value::Content(to))) if from.digest == to.digest => {
                Vec::new()
            }
            (Value::Content(from), None | Some(Value::Content(_))) => {
                let generation =
                    |content: &Content| record.and_then(|record| record.generation(content.digest));
                let to = to.and_then(|to| match to {
                    Value::Content(to) => generation(to),
                    Value::Number(_) | Value::Signed(_) | Value::Slashing(_) => None,
                });
                vec![Step::Content { from: generation(from), to }]
            }
            (Value::Signed(from), Some(Value::Signed(to))) => {
                lower_signed(from, to).into_iter().collect()
            }
            (Value::Slashing(from), Some(Value::Slashing(to))) => lower_signatures(from, to),
            (Value::Number(_), Some(Value::Number(_))) | (_, None) => lower_numbers(from, to),
            (_, Some(_)) => vec![Step::Incomparable],
        }
    }

    fn doubt(&self, reason: String, highest: &Values, rewinds: Vec<Rewind>) -> Doubt {
        let last = self.known.last_of_rule(&self.rule.name);
        let elapsed_secs = last.map_or(0, |record| self.now.secs_since(record.at));
        let gaps = highest.iter().flat_map(|(place, value)| self.gaps(place, value)).collect();
        Doubt {
            reason,
            last_record: last.map(|record| record.at),
            machine: last.map(|record| record.machine.clone()),
            elapsed_secs,
            rewinds,
            gaps,
        }
    }

    fn gaps(&self, place: &Place, value: &Value) -> Vec<Gap> {
        let record = self.known.record(place);
        let gap = |(field, number): (Field, Option<u64>)| {
            let highest = number.filter(|_| !matches!(field, Field::Round | Field::Step))?;
            let rate = record.and_then(|record| record.rate(field));
            let elapsed_secs = record.map_or(0, |record| self.now.secs_since(record.at));
            // Never nothing: at least one thing may have happened since.
            let floor = self.rule.margin_floor.max(1);
            let margin = floor.max(rate.map_or(0, |rate| rate.over(elapsed_secs)));
            let advance_to = highest.saturating_add(margin);
            let Place { key, chain, .. } = place.clone();
            Some(Gap { key, chain, field, highest, rate, elapsed_secs, floor, margin, advance_to })
        };
        value.numbers().into_iter().filter_map(gap).collect()
    }

    /// The highest values with their margins.
    fn raised(&self, highest: &Values) -> Values {
        let raised = |(place, value): (&Place, &Value)| {
            let gaps = self.gaps(place, value);
            let to = gaps.into_iter().map(|gap| (gap.field, gap.advance_to)).collect();
            (place.clone(), raise(value, &to))
        };
        highest.iter().map(raised).collect()
    }

    fn marks(&self, values: &Values) -> Vec<Mark> {
        let mark = |(place, value): (&Place, &Value)| Mark {
            rule: self.rule.name.clone(),
            kind: self.rule.kind,
            key: place.key.clone(),
            value: value.clone(),
        };
        values.iter().map(mark).collect()
    }

    /// Whether a node that has nothing of this state repeats nothing: ratchets are negotiated anew, and no old channel state is published.
    fn is_safe_without(&self) -> bool {
        matches!(self.rule.kind, FenceKind::Ratchet | FenceKind::Channel)
    }
}
