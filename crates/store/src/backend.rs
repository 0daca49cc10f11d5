//! The contract that every kind of store fulfils.

use crate::{Created, Durability, Object, Place, StoreError};

/// What callers may want to know of a store before they use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Character {
    pub(crate) place: Place,
    /// How many requests at once still pay.
    pub(crate) in_flight: usize,
    pub(crate) can_list: bool,
}

impl Default for Character {
    fn default() -> Self {
        Self { place: Place::ThisMachine, in_flight: LOCAL_IN_FLIGHT, can_list: true }
    }
}

#[cfg(feature = "object")]
impl Character {
    /// Of a store that answers many requests at once; the place is for the caller to say.
    pub(crate) fn behind_network() -> Self {
        Self { in_flight: REMOTE_IN_FLIGHT, ..Self::default() }
    }
}

/// Over a network most of a request is waiting.
#[cfg(feature = "object")]
const REMOTE_IN_FLIGHT: usize = 32;

/// A disk gains from a few requests at once; more only wait.
const LOCAL_IN_FLIGHT: usize = 4;

/// A part of a listing.
#[cfg(feature = "object")]
#[cfg(feature = "object")]
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Object>,
    /// What to ask for next; `None` at the end.
    pub(crate) next: Option<String>,
}

/// Which bytes of an object to read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    All,
    Part { offset: u64, len: usize },
}

impl Span {
    /// Offset and length within an object of `size` bytes; `None` if the object is too short.
    pub(crate) fn within(self, size: u64) -> Option<(u64, usize)> {
        let (offset, len) = match self {
            Self::All => (0, usize::try_from(size).ok()?),
            Self::Part { offset, len } => (offset, len),
        };
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= size).then_some((offset, len))
    }
}

/// What a store must do. Names and prefixes arrive validated.
pub(crate) trait Backend: Send + Sync {
    fn location(&self) -> &str;
    fn size(&self, name: &str) -> Result<u64, StoreError>;
    /// Allocates only after the object's real size is known to cover the span.
    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError>;
    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError>;
    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError>;
    /// In ascending order of names.
    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError>;
    /// A part of a listing: the first, or the one after `token`. For stores whose listings take
    /// many requests, so that each can be limited and repeated on its own.
    #[cfg(feature = "object")]
    #[cfg(feature = "object")]
    fn list_page(&self, prefix: &str, token: Option<&str>) -> Result<Page, StoreError> {
        debug_assert!(token.is_none(), "a listing in one part has no second");
        Ok(Page { objects: self.list(prefix)?, next: None })
    }
    fn delete(&self, name: &str) -> Result<bool, StoreError>;
    fn barrier(&self) -> Result<(), StoreError>;
    fn free_space(&self) -> Option<u64> {
        None
    }
    /// Decorators pass it on.
    fn character(&self) -> Character {
        Character::default()
    }
}

/// A whole listing out of its parts. A store that names the same next part twice would never end.
#[cfg(feature = "object")]
pub(crate) fn all_pages(
    mut page: impl FnMut(Option<&str>) -> Result<Page, StoreError>,
    endless: impl Fn() -> StoreError,
) -> Result<Vec<Object>, StoreError> {
    let mut objects = Vec::new();
    let mut token: Option<String> = None;
    loop {
        let Page { objects: mut more, next } = page(token.as_deref())?;
        objects.append(&mut more);
        let Some(next) = next else {
            break;
        };
        if token.as_ref() == Some(&next) {
            return Err(endless());
        }
        token = Some(next);
    }
    objects.sort_unstable();
    objects.dedup_by(|later, earlier| later.name == earlier.name);
    Ok(objects)
}
