//! Retries without waiting.
