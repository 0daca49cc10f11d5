//! Minima's files: made here by a writer of its own, read by the crate, and damaged in every place.

mod archive;
mod backup;
mod chain;
mod damage;
mod golden;
mod mega;
mod node;
mod seeds;
mod serving;
mod wallet;

#[test]
fn stand_in() {
    nodekeep_testkit::minima::standin::stand_in();
}
