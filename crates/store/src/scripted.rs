//! A store without content: every operation is handed to an oracle, and what the oracle answers is what happened. For simulators, that
//! decide when an operation takes place and how it fails.

use std::sync::Arc;

use crate::backend::{Backend, Character, Span};
use crate::{Created, Durability, Object, Op, StoreError, StoreErrorKind};

const LOCATION: &str = "simulated store";

/// What is asked of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// The bytes of an object: all, or so many from an offset on.
    Get {
        /// Which.
        name: String,
        /// Offset and length in bytes.
        part: Option<(u64, usize)>,
    },
    /// The size of an object.
    Size {
        /// Which.
        name: String,
    },
    /// To create an object if it is absent.
    Create {
        /// Which.
        name: String,
        /// Its content.
        bytes: Vec<u8>,
        /// What must hold afterwards.
        durability: Durability,
    },
    /// The objects whose names begin so.
    List {
        /// The prefix.
        prefix: String,
    },
    /// To delete an object.
    Delete {
        /// Which.
        name: String,
    },
    /// To make everything created so far durable.
    Barrier,
}

impl Request {
    fn op_and_name(&self) -> (Op, &str) {
        match self {
            Self::Get { name, .. } => (Op::Get, name),
            Self::Size { name } => (Op::Size, name),
            Self::Create { name, .. } => (Op::Create, name),
            Self::List { prefix } => (Op::List, prefix),
            Self::Delete { name } => (Op::Delete, name),
            Self::Barrier => (Op::Barrier, ""),
        }
    }
}

/// What the store says. It must suit the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The bytes asked for.
    Bytes(Vec<u8>),
    /// The size asked for.
    Size(u64),
    /// Whether the create made the object.
    Created(Created),
    /// The listing, in ascending order of names.
    Listed(Vec<Object>),
    /// Whether there was something to delete.
    Deleted(bool),
    /// The barrier is through.
    Flushed,
    /// It failed.
    Failed(StoreErrorKind),
}

/// Decides what a scripted store does.
pub trait Oracle: Send + Sync {
    /// Answers a request. The store's caller waits meanwhile.
    fn answer(&self, request: Request) -> Reply;
}

pub(crate) struct Scripted(pub(crate) Arc<dyn Oracle>);

impl Scripted {
    /// The answer, if it is no failure.
    fn ask(&self, request: Request) -> Result<Reply, StoreError> {
        let (op, name) = request.op_and_name();
        let name = name.to_owned();
        match self.0.answer(request) {
            Reply::Failed(kind) => Err(StoreError::new(op, LOCATION, &name, kind)),
            answer => Ok(answer),
        }
    }

    fn bytes(&self, name: &str, part: Option<(u64, usize)>) -> Result<Vec<u8>, StoreError> {
        match self.ask(Request::Get { name: name.to_owned(), part })? {
            Reply::Bytes(bytes) => Ok(bytes),
            _ => Err(unsuitable(Op::Get, name)),
        }
    }
}

fn unsuitable(op: Op, name: &str) -> StoreError {
    StoreError::new(op, LOCATION, name, StoreErrorKind::Damaged("an answer to another question"))
}

impl Backend for Scripted {
    fn location(&self) -> &str {
        LOCATION
    }

    fn size(&self, name: &str) -> Result<u64, StoreError> {
        match self.ask(Request::Size { name: name.to_owned() })? {
            Reply::Size(size) => Ok(size),
            _ => Err(unsuitable(Op::Size, name)),
        }
    }

    fn get(&self, name: &str, span: Span) -> Result<Vec<u8>, StoreError> {
        let part = match span {
            Span::All => None,
            Span::Part { offset, len } => Some((offset, len)),
        };
        self.bytes(name, part)
    }

    fn read_into(&self, name: &str, offset: u64, buffer: &mut [u8]) -> Result<(), StoreError> {
        let bytes = self.bytes(name, Some((offset, buffer.len())))?;
        if bytes.len() != buffer.len() {
            return Err(unsuitable(Op::Get, name));
        }
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn create(
        &self,
        name: &str,
        bytes: &[u8],
        durability: Durability,
    ) -> Result<Created, StoreError> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        match self.ask(Request::Create { name: name.clone(), bytes, durability })? {
            Reply::Created(created) => Ok(created),
            _ => Err(unsuitable(Op::Create, &name)),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Object>, StoreError> {
        match self.ask(Request::List { prefix: prefix.to_owned() })? {
            Reply::Listed(objects) => Ok(objects),
            _ => Err(unsuitable(Op::List, prefix)),
        }
    }

    fn delete(&self, name: &str) -> Result<bool, StoreError> {
        match self.ask(Request::Delete { name: name.to_owned() })? {
            Reply::Deleted(was_there) => Ok(was_there),
            _ => Err(unsuitable(Op::Delete, name)),
        }
    }

    /// One request at a time: an actor is one thread.
    fn character(&self) -> Character {
        Character { in_flight: 1, ..Character::default() }
    }

    fn barrier(&self) -> Result<(), StoreError> {
        match self.ask(Request::Barrier)? {
            Reply::Flushed => Ok(()),
            _ => Err(unsuitable(Op::Barrier, "")),
        }
    }
}
