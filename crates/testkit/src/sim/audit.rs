//! Whether merged histories are the same: what the engine says to depend on is believed while states are explored, and tried out afterwards.

use super::actor::{Event, Outcome};
use super::explore::Explorer;
use super::intern::Map;
use super::trie::{Step, Trie};
use super::world::{Said, Stock};
use crate::Rng;

/// What was said after each node, and where that led.
type Children = Map<u32, Vec<(Said, u32)>>;

impl Explorer {
    /// Runs histories that were merged into others, `tries` of them by chance, on to an end that the others came to. They must ask the same
    /// and end the same all the way. Returns how many merged histories there are.
    ///
    /// # Errors
    /// What the first says that does something else.
    pub fn try_merged(&mut self, seed: u64, tries: usize) -> Result<usize, String> {
        let mut rng = Rng::new(seed);
        let children = self.trie.children();
        let merged = self.trie.merged.len();
        for _ in 0..tries.min(merged) {
            let at = rng.below(merged);
            self.trie.try_merged(at, &children, &mut rng, &self.stock)?;
        }
        Ok(merged)
    }
}

impl Trie {
    fn try_merged(
        &mut self,
        at: usize,
        children: &Children,
        rng: &mut Rng,
        stock: &Stock,
    ) -> Result<(), String> {
        let (before, said, mut node) = self.merged[at];
        let running = self.run_from(before, said, stock);
        let mut steps = 0;
        loop {
            let differs = |what: String| {
                let name = self.name_at(before);
                Err(format!(
                    "{name}: histories were merged that differ after {steps} steps: {what}"
                ))
            };
            match (self.step(node), running.next()) {
                (Step::Ask(call), Event::Ask(request, _)) if stock.request(call) == request => {
                    let Some(known) = children.get(&node) else { return Ok(()) };
                    let (said, child) = *rng.pick(known);
                    running.tell(stock.reply(call, said));
                    node = child;
                }
                (Step::End(end), Event::End(outcome)) if self.is_same(end, &outcome) => {
                    return Ok(());
                }
                (_, Event::Ask(request, _)) => return differs(format!("{request:?}")),
                (_, Event::End(outcome)) => return differs(outcome.broken.unwrap_or(outcome.said)),
            }
            steps += 1;
        }
    }

    fn is_same(&self, end: u32, outcome: &Outcome) -> bool {
        self.outcomes[end as usize] == *outcome
    }
}
