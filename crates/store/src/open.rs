//! From an address to a store: the backend, and the decorators that it needs.

use crate::{Address, OpenOptions, Store, StoreError};

impl Store {
    /// The store at an address. Makes no request and no folder: the first use does.
    ///
    /// Requests to buckets and mirrors are limited and repeated as the options say. A folder
    /// needs neither.
    ///
    /// # Errors
    /// `BadOption` for an address or option of no use, `NoCredentials` and `BadCredentials`
    /// for a bucket without keys, `UntrustedCertificate` if the named authorities cannot be read.
    pub fn open(address: &Address, options: &OpenOptions) -> Result<Self, StoreError> {
        match address {
            Address::Folder(path) => Ok(Self::local(path)),
            #[cfg(feature = "object")]
            Address::Bucket { bucket, prefix } => {
                let location = address.to_string();
                let backend = crate::object::Bucket::open(bucket, prefix, location, options)?;
                Ok(behind_network(backend, options))
            }
            #[cfg(feature = "object")]
            Address::Mirror(mirror) => {
                Ok(behind_network(crate::https::WebFolder::open(mirror, options)?, options))
            }
            #[cfg(not(feature = "object"))]
            Address::Bucket { .. } | Address::Mirror(_) => {
                let _ = options;
                let kind = crate::StoreErrorKind::BadOption(
                    "this program was built without stores behind a network",
                );
                Err(StoreError::new(crate::Op::Open, &address.to_string(), "", kind))
            }
        }
    }
}

/// Retries outside, limits inside: who waits for another attempt holds no place.
#[cfg(feature = "object")]
fn behind_network(backend: impl crate::backend::Backend + 'static, options: &OpenOptions) -> Store {
    use std::sync::Arc;

    use crate::clock::{Clock, SystemClock};

    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let limited = crate::limits::Limited::new(Arc::new(backend), options.limits, &clock);
    Store::of(crate::retry::Retry::new(Arc::new(limited), options.retry, clock))
}
