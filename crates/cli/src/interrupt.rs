//! Ctrl-C: the first asks the engine to stop at the next safe point, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Takes over SIGINT and SIGTERM for work that can stop cleanly.
pub fn watch() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let handler: extern "C" fn(libc::c_int) = on_signal;
        #[expect(
            unsafe_code,
            reason = "the handler only touches an atomic and calls _exit, both signal-safe"
        )]
        // SAFETY: a zeroed sigaction is valid, and the handler lives as long as the program.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = handler as *const () as libc::sighandler_t;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

/// Whether someone asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// What was asked has been answered: what comes next may go on.
pub fn forgive() {
    ASKED.store(false, Ordering::Relaxed);
}

extern "C" fn on_signal(_: libc::c_int) {
    if ASKED.swap(true, Ordering::Relaxed) {
        #[expect(unsafe_code, reason = "exit without destructors is what a second Ctrl-C asks for")]
        // SAFETY: _exit is signal-safe.
        unsafe {
            libc::_exit(130)
        }
    }
}
