//! What a proxy does to which request: a pure function of a seed, so that a failure can be repeated.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use crate::rng::Rng;

/// Something that a network does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// The connection ends before the server sees the request.
    CutBefore,
    /// The connection ends in the middle of the request's body; without a body, before the request.
    CutUpload,
    /// The server acts, and the connection ends before its answer.
    CutAfter,
    /// The connection ends in the middle of the answer's body; without a body, before the answer.
    CutDownload,
    /// The answer's body is cut short, and its head says that it is whole.
    Truncate,
    /// The server gets the request a second time, when some others have passed.
    Duplicate,
    /// The proxy answers this status itself, with `Retry-After: 0`, and the server never sees the request.
    Refuse(u16),
    /// The server acts, and its answer comes late.
    Stall(Duration),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutBefore => f.write_str("cut-before"),
            Self::CutUpload => f.write_str("cut-upload"),
            Self::CutAfter => f.write_str("cut-after"),
            Self::CutDownload => f.write_str("cut-download"),
            Self::Truncate => f.write_str("truncate"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Refuse(status) => write!(f, "refuse-{status}"),
            Self::Stall(time) => write!(f, "stall-{}ms", time.as_millis()),
        }
    }
}

impl Fault {
    /// Whether a request with this method can suffer it.
    fn fits(self, method: &str) -> bool {
        match self {
            Self::Duplicate => matches!(method, "PUT" | "DELETE" | "POST"),
            Self::CutUpload => matches!(method, "PUT" | "POST"),
            Self::Truncate | Self::CutDownload => method == "GET",
            _ => true,
        }
    }
}

/// Which faults come how often.
///
/// The n-th request of a kind always suffers the same. A kind is the method and the target without the long hexadecimal
/// names in it, because those differ from run to run; so what happens to a kind does not depend on how the threads of
/// the client were scheduled.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Where all choices come from.
    pub seed: u64,
    /// Added to every request before the server sees it.
    pub latency: Duration,
    /// The faults, of which one is chosen.
    pub faults: Vec<Fault>,
    /// A request in so many suffers one; 0 is none.
    pub one_in: usize,
}

impl Plan {
    /// A network that is perfect but for its latency.
    pub fn latency(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// One of `faults` for a request in `one_in`.
    pub fn faults(seed: u64, faults: impl Into<Vec<Fault>>, one_in: usize) -> Self {
        Self { seed, faults: faults.into(), one_in, ..Self::default() }
    }

    /// What the `number`-th request of a kind suffers, from 0.
    fn choose(&self, kind: &str, number: u64, method: &str) -> Option<Fault> {
        let fitting: Vec<Fault> =
            self.faults.iter().copied().filter(|fault| fault.fits(method)).collect();
        if fitting.is_empty() || self.one_in == 0 {
            return None;
        }
        let mut rng = Rng::new(self.seed ^ mix(kind) ^ number.wrapping_mul(0x9e37_79b9));
        rng.one_in(self.one_in).then(|| *rng.pick(&fitting))
    }
}

/// FNV-1a, for it must be the same in every run.
fn mix(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// Counts the requests of each kind, and says what each suffers.
#[derive(Debug)]
pub(super) struct Decider {
    plan: Plan,
    seen: HashMap<String, u64>,
}

impl Decider {
    pub(super) fn new(plan: Plan) -> Self {
        Self { plan, seen: HashMap::new() }
    }

    pub(super) fn plan(&mut self, plan: Plan) {
        *self = Self::new(plan);
    }

    pub(super) fn latency(&self) -> Duration {
        self.plan.latency
    }

    pub(super) fn next(&mut self, method: &str, target: &str) -> Option<Fault> {
        let kind = kind(method, target);
        let number = self.seen.entry(kind.clone()).or_default();
        *number += 1;
        self.plan.choose(&kind, *number - 1, method)
    }
}

/// What requests have in common that differ only in names.
pub(super) fn kind(method: &str, target: &str) -> String {
    format!("{method} {}", without_names(target))
}

/// The target with every run of eight or more hexadecimal digits made `*`.
fn without_names(target: &str) -> String {
    let mut out = String::new();
    let mut run = String::new();
    for c in target.chars().chain(['\0']) {
        if c.is_ascii_hexdigit() {
            run.push(c);
            continue;
        }
        out.push_str(if run.len() >= 8 { "*" } else { &run });
        run.clear();
        out.extend((c != '\0').then_some(c));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_no_names_in_it() {
        let cases = [
            ("/b/w/00112233445566778899aabbccddeeff/d/0f/", "/b/w/*/d/0f/"),
            ("/b/c/00000001", "/b/c/*"),
            ("/b?list-type=2&prefix=g%2F00000000", "/b?list-type=2&prefix=g%2F00000000"),
            ("/b/deadbeef.session", "/b/*.session"),
        ];
        for (target, kind) in cases {
            // A percent sign's digits touch the name behind it, as any reader of the text would see it.
            let kind = kind.replace("%2F00000000", "%*");
            assert_eq!(without_names(target), kind, "{target}");
        }
    }

    #[test]
    fn choices_follow_from_the_seed_and_fit_the_method() {
        let faults = [Fault::CutBefore, Fault::Duplicate, Fault::Truncate];
        let run = |seed| {
            let mut decider = Decider::new(Plan::faults(seed, faults, 3));
            let next = |at: usize| decider.next(["GET", "PUT"][at % 2], "/b/0123456789");
            (0..200).map(next).collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let suffered = run(1).iter().flatten().count();
        assert!((40..100).contains(&suffered), "{suffered} of 200");
        let odd = |at: usize| run(1)[at] == Some(Fault::Truncate) && at % 2 == 1;
        assert!(!(0..200).any(odd), "a PUT was truncated");
        assert!(
            run(1).contains(&Some(Fault::Duplicate)) && run(1).contains(&Some(Fault::Truncate))
        );
    }
}
