//! What can go wrong between us and a node.

use std::io;
use std::time::Duration;

/// What can go wrong between us and the node.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    /// An address that cannot be used.
    #[error(
        "`{address}` is not the address of a node's commands: it looks like http://127.0.0.1:9005"
    )]
    Address {
        /// What was given.
        address: String,
    },
    /// Something that the node would take apart or never answer to.
    #[error("{what} cannot be sent to the node: {why}")]
    Unsafe {
        /// Which parameter; never its value.
        what: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Nobody answers.
    #[error(
        "no node answers at {address}: {source}; is it running with -rpcenable, and is the port its main port + 4?"
    )]
    Connect {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The password is missing or wrong.
    #[error(
        "the node at {address} wants another password: give the file that holds its -rpcpassword with --set rpc-password-file=FILE"
    )]
    Refused {
        /// Where.
        address: String,
    },
    /// The connection ended before the answer did. After some commands that is how the node stops.
    #[error("`{command}`: the node broke off before it had answered: {source}")]
    Lost {
        /// The command's name.
        command: String,
        /// How that showed.
        source: io::Error,
    },
    /// It took too long.
    #[error("`{command}`: no answer within {} s", patience.as_secs())]
    Slow {
        /// The command's name.
        command: String,
        /// How long it had.
        patience: Duration,
    },
    /// The answer is not a Minima node's.
    #[error("`{command}`: what answers at {address} is not a Minima node: {why}")]
    Strange {
        /// The command's name.
        command: String,
        /// Where.
        address: String,
        /// What is odd.
        why: String,
    },
    /// The node says no.
    #[error("`{command}` was refused by the node: {reason}")]
    Failed {
        /// The command's name.
        command: String,
        /// Its own words, without secrets.
        reason: String,
    },
}

impl RpcError {
    /// Whether another password would have helped. The node has no codes for its reasons, only words.
    pub fn is_about_a_password(&self) -> bool {
        match self {
            Self::Refused { .. } => true,
            Self::Failed { reason, .. } => {
                let reason = reason.to_ascii_lowercase();
                reason.contains("incorrect password") || reason.contains("invalid password")
            }
            _ => false,
        }
    }

    /// Whether the node may have begun: its answer got lost, so that nobody knows.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Slow { .. })
    }
}

/// What comes back.
pub type Result<T> = std::result::Result<T, RpcError>;
