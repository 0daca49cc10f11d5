//! What a caller makes of a view. A view is read in many steps, and most of what it shows does not matter to whoever asked for it: a caller that
//! says what does lets histories be merged in the middle of reading, and not only where it has all been read.

use std::cell::RefCell;
use std::fmt::Debug;

use crate::view::View;

/// What a caller depends on besides the view, and what of the view it will look at.
///
/// What it shows must add up: if two incomplete views show the same, so must they when the same is added to both. Sets and highest numbers of
/// what is in a view do; whether there are more than so many does not.
struct Lens {
    place: &'static str,
    state: String,
    shows: Box<dyn Fn(&View) -> String>,
}

thread_local! {
    static LENS: RefCell<Option<Lens>> = const { RefCell::new(None) };
}

/// Takes the lens away when dropped.
#[derive(Debug)]
pub(crate) struct Held(());

impl Drop for Held {
    fn drop(&mut self) {
        LENS.with(|lens| *lens.borrow_mut() = None);
    }
}

/// Holds a lens before the views that this thread reads.
pub(crate) fn hold(
    place: &'static str,
    state: &dyn Debug,
    shows: impl Fn(&View) -> String + 'static,
) -> Held {
    let lens = Lens { place, state: format!("{state:?}"), shows: Box::new(shows) };
    LENS.with(|held| *held.borrow_mut() = Some(lens));
    Held(())
}

/// Settles at a stage of reading: on what the reader itself needs to go on, and on what the lens shows of the view so far. Without a lens
/// nothing is said.
pub(crate) fn settle(stage: &str, reader: &dyn Debug, so_far: impl FnOnce() -> View) {
    LENS.with(|lens| {
        if let Some(Lens { place, state, shows }) = &*lens.borrow() {
            super::settle(place, &(stage, state, reader, shows(&so_far())));
        }
    });
}
