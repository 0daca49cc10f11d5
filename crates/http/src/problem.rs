//! Why a request is not answered as asked: a status, a code word, a sentence, and what to do.

use std::fmt;

use axum::http::StatusCode;
use nodekeep_repo::error::Error as Engine;
use nodekeep_service::error::Error as Service;
use nodekeep_service::schedule::ScheduleError;
use schemars::JsonSchema;
use serde::Serialize;

/// What a client is told instead of an answer.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// The code word: one of `docs/exit-codes.md` where it fits.
    pub code: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

/// The document of an error.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDocument {
    error: ErrorBody,
}

/// What is wrong.
#[derive(Debug, Serialize, JsonSchema)]
struct ErrorBody {
    /// The code word.
    code: String,
    /// A sentence.
    message: String,
    /// What to do.
    hint: Option<String>,
}

impl Problem {
    /// Of these parts.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), hint: None }
    }

    /// With what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// A request that cannot mean anything.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "usage", message)
    }

    /// Nothing of that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", message)
    }

    /// The role of the token is not enough.
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-allowed", message)
    }

    /// Something that stands against it now.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "try-again", message)
    }

    /// Something of this machine failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", message)
    }

    /// The daemon's keys do not read.
    pub fn role(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "role", message).hint(
            "Ask a daemon that holds the owner's identity or that of a reader: `nodekeep daemon run --role keeper` on the operator's machine.",
        )
    }

    /// The repository cannot be had now: what a face says of why.
    pub fn unavailable(code: &'static str, message: String, hint: Option<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, code, message, hint }
    }

    /// Its document.
    pub fn document(&self) -> ErrorDocument {
        ErrorDocument {
            error: ErrorBody {
                code: self.code.to_owned(),
                message: self.message.clone(),
                hint: self.hint.clone(),
            },
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl From<Engine> for Problem {
    fn from(error: Engine) -> Self {
        let message = error.to_string();
        match error {
            Engine::NoSnapshot { .. } | Engine::NoPath { .. } | Engine::Ambiguous { .. } => {
                Self::not_found(message)
            }
            Engine::WriterOnly | Engine::CollectorOnly | Engine::OwnerOnly | Engine::NotAReader => {
                Self::role(message)
            }
            Engine::Damaged { .. } | Engine::ChunkMissing(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged", message)
                    .hint("See what is hit: nodekeep check --data")
            }
            Engine::Store(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", message)
            }
            Engine::NoRepository { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-repository", message)
                    .hint("Make one: nodekeep init")
            }
            Engine::Busy { .. } => Self::conflict(message),
            _ => Self::failed(message),
        }
    }
}

impl From<Service> for Problem {
    fn from(error: Service) -> Self {
        match error {
            Service::Repo(engine) => engine.into(),
            Service::NoNode { .. }
            | Service::NoJob { .. }
            | Service::NoSnapshot { .. }
            | Service::Schedule(ScheduleError::Unknown { .. }) => {
                Self::not_found(error.to_string())
            }
            other => Self::failed(other.to_string()),
        }
    }
}
