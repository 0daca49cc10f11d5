//! Secrets and what they open: owner, domain, reader groups, content keys, and the files that carry them.

mod credential;
mod domain;
mod group;
mod owner;
mod seal;
mod unlock;

pub use credential::{Credential, CredentialError};
pub use domain::{Chunking, DomainKeys};
pub use group::{Envelope, GroupPublic, GroupSecrets, x25519_public as public_of};
pub use owner::{Entropy, OwnerKeys, PhraseError};
pub use seal::{ContentKey, Purpose, Seal};
pub use unlock::{Identities, Reader, ReaderError, lock_text, unlock_text};
