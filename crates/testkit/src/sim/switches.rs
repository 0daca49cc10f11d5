//! Few switches: every order in which actors are left for another only so many times. Most faults need few, and where a scenario is too
//! large to be explored, this finds those that take a long sleep at one exact moment, which chance hardly ever brings.

use std::collections::HashSet;

use super::explore::{Explorer, Failure, Move, State};
use super::faults::Way;
use super::reduce::NETWORK;

/// A state, whose turn it is, and how often somebody may still be left before he has ended.
type Turn = (State, usize, u8);

/// How it came to a turn.
struct Trail {
    turn: Turn,
    from: usize,
    step: Option<Move>,
}

/// What is known while turns are visited.
#[derive(Default)]
struct Visit {
    known: HashSet<Turn>,
    trails: Vec<Trail>,
    open: Vec<usize>,
}

impl Visit {
    fn keep(&mut self, turn: Turn, from: usize, step: Option<Move>) {
        if self.known.insert(turn) {
            self.open.push(self.trails.len());
            self.trails.push(Trail { turn, from, step });
        }
    }

    fn steps(&self, mut at: usize) -> Vec<Move> {
        let mut steps = Vec::new();
        while let Some(Trail { from, step, .. }) = self.trails.get(at) {
            steps.extend(*step);
            at = *from;
        }
        steps.reverse();
        steps
    }
}

impl Explorer {
    /// Visits all that can come about if actors are left at most `most` times before they have ended; an actor that is left and never comes
    /// back has crashed. What the network delivers late counts as leaving. Returns how many states, with whose turn it is, there were.
    pub fn run_with_switches(&mut self, most: u8) -> (u64, Option<Failure>) {
        let mut visit = Visit::default();
        let beginning = self.beginning();
        for actor in self.awake(&beginning) {
            visit.keep((beginning, actor, most), usize::MAX, None);
        }
        while let Some(at) = visit.open.pop() {
            if let Err(failure) = self.take_turn(&mut visit, at) {
                return (visit.known.len() as u64, Some(failure));
            }
        }
        (visit.known.len() as u64, None)
    }

    fn take_turn(&mut self, visit: &mut Visit, at: usize) -> Result<(), Failure> {
        let (state, actor, left) = visit.trails[at].turn;
        let awake = self.awake(&state);
        let goes_on = awake.contains(&actor);
        if goes_on {
            for (step, next) in self.successors(&state, 1 << actor) {
                self.arrive_at(visit, (at, step), &state, (next, actor, left))?;
            }
        }
        let others = awake.into_iter().filter(|other| *other != actor);
        let Some(left) = left.checked_sub(u8::from(goes_on)) else { return Ok(()) };
        for other in others {
            if other != NETWORK {
                visit.keep((state, other, left), at, None);
                continue;
            }
            for (step, next) in self.successors(&state, 1 << NETWORK) {
                if matches!(step.way, Way::Arrives(_)) {
                    self.arrive_at(visit, (at, step), &state, (next, actor, left))?;
                }
            }
        }
        Ok(())
    }

    fn arrive_at(
        &mut self,
        visit: &mut Visit,
        (from, step): (usize, Move),
        before: &State,
        turn: Turn,
    ) -> Result<(), Failure> {
        if let Err(what) = self.look(before, step, &turn.0, false) {
            let mut steps = visit.steps(from);
            steps.push(step);
            return Err(Failure { what, steps });
        }
        visit.keep(turn, from, Some(step));
        Ok(())
    }
}
