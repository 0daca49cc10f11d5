//! Progress of long work: a moving bar on a terminal, a plain line now and then elsewhere.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use nodekeep_repo::monitor::Monitor;
use nodekeep_service::jobs::progress::Progress as Told;

use crate::interrupt;
use crate::output::Output;
use crate::render;

/// Between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Between two words to the daemon.
const WORD_EVERY: Duration = Duration::from_millis(250);
/// Where a job of the daemon tells how far it is.
static JOB: OnceLock<PathBuf> = OnceLock::new();

/// From here on this program's work is told in this file too.
pub fn tell_in(path: PathBuf) {
    _ = JOB.set(path);
}

/// Shows what a verb reports; plans add up. Problems and notes are for its report, but a note is also said at once.
pub struct Progress {
    output: Output,
    verb: &'static str,
    bar: ProgressBar,
    started: Instant,
    files: AtomicU64,
    bytes: AtomicU64,
    planned: AtomicU64,
    planned_files: AtomicU64,
    word: Mutex<Word>,
    last_line: Mutex<Instant>,
}

impl Progress {
    /// Starts to show; `verb` says what goes on: "Backing up". From here on Ctrl-C stops cleanly.
    pub fn start(output: &Output, verb: &'static str) -> Self {
        interrupt::watch();
        let bar = if output.live { spinner(verb) } else { ProgressBar::hidden() };
        Self {
            output: *output,
            verb,
            bar,
            started: Instant::now(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            planned: AtomicU64::new(0),
            planned_files: AtomicU64::new(0),
            word: Mutex::default(),
            last_line: Mutex::new(Instant::now()),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn line(&self) {
        let (files, bytes) =
            (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let planned = self.planned.load(Ordering::Relaxed);
        let of =
            if planned > bytes { format!(" of {}", render::size(planned)) } else { String::new() };
        let (count, size) = (render::counted(files, "file"), render::size(bytes));
        let rate = render::rate(bytes, self.started.elapsed());
        self.output.remark(format!("{}: {count}, {size}{of}, {rate}", self.verb));
    }

    fn is_line_due(&self) -> bool {
        let Ok(mut last) = self.last_line.try_lock() else {
            return false;
        };
        let due = last.elapsed() >= LINE_EVERY;
        if due {
            *last = Instant::now();
        }
        due
    }
}

/// The last word to the daemon.
#[derive(Default)]
struct Word {
    path: Option<String>,
    said: Option<Instant>,
}

impl Progress {
    /// Tells the daemon how far it is, now and then. That nobody reads it is no reason to stop.
    fn tell(&self, path: Option<&[u8]>, now: bool) {
        let Some(file) = JOB.get() else { return };
        let Ok(mut word) = self.word.try_lock() else { return };
        if let Some(path) = path {
            word.path = Some(render::path(path));
        }
        if !now && word.said.is_some_and(|said| said.elapsed() < WORD_EVERY) {
            return;
        }
        word.said = Some(Instant::now());
        let known = |number: &AtomicU64| Some(number.load(Ordering::Relaxed)).filter(|n| *n > 0);
        let told = Told {
            phase: self.verb.to_owned(),
            done_bytes: self.bytes.load(Ordering::Relaxed),
            total_bytes: known(&self.planned),
            done_files: self.files.load(Ordering::Relaxed),
            total_files: known(&self.planned_files),
            path: word.path.clone(),
        };
        _ = told.write(file);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.tell(None, true);
        self.bar.finish_and_clear();
    }
}

impl Monitor for Progress {
    fn plan(&self, files: u64, bytes: u64) {
        self.planned_files.fetch_add(files, Ordering::Relaxed);
        let before = self.planned.fetch_add(bytes, Ordering::Relaxed);
        if bytes == 0 || !self.output.live {
            return;
        }
        if before == 0 {
            self.bar.set_style(bar_style());
        }
        self.bar.set_length(before + bytes);
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.tell(None, false);
        if self.output.live {
            self.bar.inc(bytes);
        } else if self.is_line_due() {
            self.line();
        }
    }

    fn path(&self, path: &[u8]) {
        self.tell(Some(path), false);
        if self.output.live {
            self.bar.set_message(shortened(&render::path(path)));
        }
    }

    fn note(&self, text: &str) {
        let text = text.to_owned();
        self.bar.suspend(|| self.output.remark(text));
    }

    fn interrupted(&self) -> bool {
        interrupt::asked()
    }
}

fn spinner(verb: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
    bar.set_style(style("{spinner} {prefix}  {bytes} at {rate}  {wide_msg}"));
    bar.set_prefix(verb);
    bar.enable_steady_tick(Duration::from_millis(125));
    bar
}

fn bar_style() -> ProgressStyle {
    style("{spinner} {prefix}  {bar:24} {bytes} of {total_bytes} at {rate}, {eta} left  {wide_msg}")
        .progress_chars("=> ")
}

/// The average since the start: the momentary rate of a backup jumps between new and known files.
fn style(template: &str) -> ProgressStyle {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", |state: &ProgressState, to: &mut dyn std::fmt::Write| {
        _ = write!(to, "{}", render::rate(state.pos(), state.elapsed()));
    })
}

/// The end of a long path says more than its start.
fn shortened(path: &str) -> String {
    let length = path.chars().count();
    if length <= 48 {
        return path.to_owned();
    }
    format!("…{}", path.chars().skip(length - 47).collect::<String>())
}

impl Progress {
    /// When the work began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Says a last plain line if lines were said before.
    pub fn close(&self) {
        let said = *self.last_line.lock().unwrap_or_else(PoisonError::into_inner)
            > self.started + LINE_EVERY;
        if said && !self.output.live {
            self.line();
        }
        self.finish();
    }
}
