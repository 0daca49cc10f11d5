//! How long work reports: the engine calls, faces render. Every method has an empty default.

/// Receives progress; called from several threads.
pub trait Monitor: Sync {
    /// So much more is there to do, in files and bytes; calls add up.
    fn plan(&self, _files: u64, _bytes: u64) {}
    /// So much more is done.
    fn advance(&self, _files: u64, _bytes: u64) {}
    /// Work is at this path.
    fn path(&self, _path: &[u8]) {}
    /// Something could not be done; it is also in the report.
    fn problem(&self, _path: &[u8], _why: &str) {}
    /// Something worth saying that is no problem.
    fn note(&self, _text: &str) {}
    /// Whether to stop as soon as nothing is half done.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Reports nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Monitor for Silent {}
