//! Large scenarios: one path through them for each seed, with whatever order and faults chance brings.

use super::explore::{Explorer, Failure, State};
use crate::Rng;

impl Explorer {
    /// Takes one path to its end; returns how many steps it had. The same seed takes the same path.
    pub fn wander(&mut self, seed: u64) -> (u64, Option<Failure>) {
        let mut rng = Rng::new(seed);
        let mut state = self.beginning();
        let mut steps = Vec::new();
        loop {
            if let Err(what) = self.examine(&state) {
                return (steps.len() as u64, Some(Failure { what, steps }));
            }
            let Some((step, next)) = self.chance(&state, &mut rng) else {
                return (steps.len() as u64, None);
            };
            steps.push(step);
            state = next;
            if steps.len() > MOST_STEPS {
                let what = format!("it does not end within {MOST_STEPS} steps");
                return (steps.len() as u64, Some(Failure { what, steps }));
            }
        }
    }

    /// One actor goes on, mostly as it should; now and then for several steps, so that orders differ in more than their details.
    fn chance(&mut self, state: &State, rng: &mut Rng) -> Option<(super::explore::Move, State)> {
        let awake = self.awake(state);
        if awake.is_empty() {
            return None;
        }
        let actor = *rng.pick(&awake);
        let ways = self.successors(state, 1 << actor);
        let at = if rng.one_in(FAULTS_EVERY) { rng.below(ways.len()) } else { 0 };
        ways.into_iter().nth(at)
    }
}

/// An honest path is shorter.
const MOST_STEPS: usize = 5000;
/// One step in so many may go wrong.
const FAULTS_EVERY: usize = 20;
