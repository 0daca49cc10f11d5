//! What operations do to objects, as far as it can matter to others.

use super::intern::Interner;
use super::world::Call;

/// How an operation can matter to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Touch {
    /// Content, size or absence of an object is seen.
    Reads(u32),
    /// Names are seen.
    Lists(u32),
    /// An object appears.
    Creates(u32),
    /// An object goes.
    Deletes(u32),
}

impl Touch {
    pub(super) fn of(call: Call) -> Option<Self> {
        match call {
            Call::Get { name, .. } | Call::Size { name } => Some(Self::Reads(name)),
            Call::List { prefix } => Some(Self::Lists(prefix)),
            Call::Create { name, .. } => Some(Self::Creates(name)),
            Call::Delete { name } => Some(Self::Deletes(name)),
            Call::Barrier => None,
        }
    }
}

/// What touches are looked for: those that may matter to some operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sought {
    /// That make an object appear.
    Creation(u32),
    /// That make an object go.
    Deletion(u32),
    /// That see an object, or make it appear: to whom it matters that it goes.
    Use(u32),
    /// That see an object, make it appear, or go.
    Anything(u32),
    /// That change what is below a prefix.
    ChangeBelow(u32),
}

impl Sought {
    /// Whether a touch is one of these.
    pub fn is_met(self, touch: Touch, names: &Interner<str>) -> bool {
        let below = |name: u32, prefix: u32| names.get(name).starts_with(&**names.get(prefix));
        match (self, touch) {
            (Self::Creation(name), _) => touch == Touch::Creates(name),
            (Self::Deletion(name), _) => touch == Touch::Deletes(name),
            (Self::Use(_), Touch::Deletes(_)) => false,
            (Self::Use(name) | Self::Anything(name), Touch::Lists(prefix)) => below(name, prefix),
            (
                Self::Use(name) | Self::Anything(name),
                Touch::Reads(other) | Touch::Creates(other) | Touch::Deletes(other),
            ) => other == name,
            (Self::ChangeBelow(prefix), Touch::Creates(name) | Touch::Deletes(name)) => {
                below(name, prefix)
            }
            (Self::ChangeBelow(_), Touch::Reads(_) | Touch::Lists(_)) => false,
        }
    }
}
