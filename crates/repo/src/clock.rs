//! What time it is: the one place where the engine asks.

/// Now, by the machine's clock.
pub(crate) fn now() -> jiff::Timestamp {
    #[cfg(feature = "simulate")]
    if let Some(now) = crate::simulate::now() {
        return now;
    }
    jiff::Timestamp::now()
}
