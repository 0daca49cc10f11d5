//! Limits without waiting.
