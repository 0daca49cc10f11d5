//! A failure, and all endings, in words.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::explore::{Explorer, Failure, State};
use super::faults::{Way, go};
use super::reduce::NETWORK;
use super::world::{Call, Said};

impl Explorer {
    /// How everything can end: what lies in the store then, and how each actor fared; the same for every explorer of the scenario.
    pub fn endings(&self) -> BTreeSet<String> {
        let ends = self.states.iter().filter(|state| self.has_ended(state));
        ends.map(|state| self.ending(state)).collect()
    }

    fn ending(&self, state: &State) -> String {
        let outcomes = (0..self.programs.len()).map(|actor| self.trie.outcome(state.nodes[actor]));
        let mut objects: Vec<String> = Vec::new();
        for entry in &self.stock.worlds.get(state.world).objects {
            let hash = nodekeep_repo::id::ObjectHash::of(self.stock.contents.get(entry.content));
            objects.push(format!("{} {hash}", self.stock.names.get(entry.name)));
        }
        objects.sort();
        format!("{:?} {objects:?}", outcomes.collect::<Vec<_>>())
    }

    /// The steps of a failure, a line each.
    pub fn tell(&mut self, failure: &Failure) -> String {
        let mut text = String::new();
        let mut state = self.beginning();
        for (number, step) in failure.steps.iter().enumerate() {
            let line = self.line(&state, *step);
            let _ = writeln!(text, "{:4}. {line}", number + 1);
            state = self.follow(&state, *step);
        }
        let _ = writeln!(text, "      {}", failure.what);
        text
    }

    /// The state after a step.
    pub fn follow(&mut self, state: &State, step: super::explore::Move) -> State {
        let mask = 1 << step.actor;
        let found = self.successors(state, mask).into_iter().find(|(other, _)| *other == step);
        found.expect("a step that was taken can be taken again").1
    }

    fn line(&mut self, state: &State, step: super::explore::Move) -> String {
        let actor = usize::from(step.actor);
        if actor == NETWORK {
            return match step.way {
                Way::Arrives(flight) => {
                    let what = if flight.content.is_some() { "create" } else { "delete" };
                    format!("network: the {what} of {} arrives", self.stock.short(flight.name))
                }
                other => format!("power is lost: {other:?}"),
            };
        }
        let name = self.trie.name(self.programs[actor]).to_owned();
        let Some(call) = self.call(state, actor) else {
            return format!("{name}: has ended");
        };
        let power = self.faults.power != 0;
        let answer =
            go(&mut self.stock, state.world, call, step.way, step.actor, power, self.first).1;
        let how = if step.way == Way::Well { String::new() } else { format!(" [{:?}]", step.way) };
        format!("{name}: {} -> {}{how}", self.call_in_words(call), self.answer_in_words(answer))
    }

    fn call_in_words(&self, call: Call) -> String {
        match call {
            Call::Get { name, part: None } => format!("read {}", self.stock.short(name)),
            Call::Get { name, .. } => format!("read in {}", self.stock.short(name)),
            Call::Size { name } => format!("size of {}", self.stock.short(name)),
            Call::Create { name, .. } => format!("create {}", self.stock.short(name)),
            Call::List { prefix } => format!("list {}", self.stock.short(prefix)),
            Call::Delete { name } => format!("delete {}", self.stock.short(name)),
            Call::Barrier => "barrier".to_owned(),
        }
    }

    fn answer_in_words(&self, said: Said) -> String {
        match said {
            Said::Flushed => "done".to_owned(),
            Said::Content(_) => "found".to_owned(),
            Said::Created(true) => "new".to_owned(),
            Said::Created(false) => "exists".to_owned(),
            Said::Deleted => "gone".to_owned(),
            Said::Missing => "not there".to_owned(),
            Said::Failed => "failed".to_owned(),
            Said::Listed(list) => {
                let objects = self.stock.lists.get(list);
                let names: Vec<String> =
                    objects.iter().take(12).map(|(name, _)| self.stock.short(*name)).collect();
                let more = if objects.len() > 12 { ", …" } else { "" };
                format!("{{{}{more}}}", names.join(", "))
            }
        }
    }
}
