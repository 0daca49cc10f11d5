//! Ctrl-C: the first asks the engine to stop at the next safe point, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
static RELOAD: AtomicBool = AtomicBool::new(false);

/// Takes over SIGINT and SIGTERM for work that can stop cleanly.
pub fn watch() {
    handle(libc::SIGINT, on_signal);
    handle(libc::SIGTERM, on_signal);
}

/// Takes over SIGHUP, which would end the program: for one that can read its configuration again.
pub fn watch_reload() {
    handle(libc::SIGHUP, on_reload);
}

fn handle(signal: libc::c_int, handler: extern "C" fn(libc::c_int)) {
    #[expect(
        unsafe_code,
        reason = "the handlers only touch atomics and call _exit, all signal-safe"
    )]
    // SAFETY: a zeroed sigaction is valid, and the handler lives as long as the program.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        libc::sigaction(signal, &action, std::ptr::null_mut());
    }
}

/// Whether someone asked to read the configuration again, since this was last asked.
pub fn reload_asked() -> bool {
    RELOAD.swap(false, Ordering::Relaxed)
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

extern "C" fn on_reload(_: libc::c_int) {
    RELOAD.store(true, Ordering::Relaxed);
}
