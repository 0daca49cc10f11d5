//! The node's commands over HTTP, as the node really speaks it.
//!
//! Its server knows header names by their exact case, ends lines with a bare LF, answers 200 to what it refuses, repeats every parameter
//! in its answer, splits commands at `;` even within quotes, and can say that all is well while a deeper part of the answer says that
//! nothing is. So requests are written here byte by byte, an answer is searched for every `status`, and what a person is shown of an
//! answer is the node's own sentence with everything secret taken out.

mod answer;
mod call;
mod error;
#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Write as _};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

use self::answer::{body, head, refusal};
pub use self::call::Call;
pub use self::error::{Result, RpcError};
use super::paced::Paced;

/// How long a connection may take to open: the node is near.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The name that the node's own password belongs to.
const USER: &str = "minima";

/// A node that takes commands.
#[derive(Clone)]
pub struct Rpc {
    address: String,
    authorization: Option<Zeroizing<String>>,
}

/// Without its password.
impl std::fmt::Debug for Rpc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rpc").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Rpc {
    /// A node at `http://HOST:PORT`, with its `-rpcpassword` if it has one.
    ///
    /// # Errors
    /// [`RpcError::Address`], [`RpcError::Unsafe`]
    pub fn new(url: &str, password: Option<&str>) -> Result<Self> {
        let rest = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
        let port = rest.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if port.is_none() || !is_plain {
            return Err(RpcError::Address { address: url.to_owned() });
        }
        let authorization = password.map(|password| {
            let both = Zeroizing::new(format!("{USER}:{password}"));
            Zeroizing::new(STANDARD.encode(both.as_bytes()))
        });
        Ok(Self { address: rest.to_owned(), authorization })
    }

    /// Where it is: `HOST:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a command and gives the answer, in which every `status` is true.
    ///
    /// # Errors
    /// See [`RpcError`].
    pub fn call(&self, call: &Call, patience: Duration) -> Result<Value> {
        let answer = self.exchange(call, patience)?;
        let said = |why: String| RpcError::Strange {
            command: call.name.to_owned(),
            address: self.address.clone(),
            why,
        };
        let value: Value = serde_json::from_slice(&answer)
            .map_err(|error| said(format!("its answer is no JSON: {error}")))?;
        if value.as_array().is_some_and(Vec::is_empty) {
            return Err(said("its answer is empty".to_owned()));
        }
        match refusal(&value) {
            Some(reason) => Err(RpcError::Failed {
                command: call.name.to_owned(),
                reason: call.without_secrets(reason.trim_end_matches(['.', '!', ' '])),
            }),
            None => Ok(value),
        }
    }

    fn exchange(&self, call: &Call, patience: Duration) -> Result<Zeroizing<Vec<u8>>> {
        let stream = self.connect()?;
        let told = |source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                RpcError::Slow { command: call.name.to_owned(), patience }
            }
            _ => RpcError::Lost { command: call.name.to_owned(), source },
        };
        let mut paced = Paced::new(&stream, patience);
        paced.write_all(&self.request(call)).map_err(told)?;
        let mut from = BufReader::new(paced);
        let (status, length) = head(&mut from).map_err(told)?;
        if status == 401 {
            return Err(RpcError::Refused { address: self.address.clone() });
        }
        if status != 200 {
            return Err(RpcError::Strange {
                command: call.name.to_owned(),
                address: self.address.clone(),
                why: format!("it answers with status {status}"),
            });
        }
        body(&mut from, length).map_err(told)
    }

    fn connect(&self) -> Result<TcpStream> {
        let failed = |source| RpcError::Connect { address: self.address.clone(), source };
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in self.address.to_socket_addrs().map_err(failed)? {
            match TcpStream::connect_timeout(&address, CONNECT_WITHIN) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// POST keeps secrets out of the first line, which the node writes into its log when something goes wrong.
    fn request(&self, call: &Call) -> Zeroizing<Vec<u8>> {
        let authorization = self.authorization.as_ref();
        let room = 256 + call.line.len() + authorization.map_or(0, |value| value.len());
        let mut request = Zeroizing::new(Vec::with_capacity(room + self.address.len()));
        let length = call.line.len().to_string();
        let mut parts = vec!["POST / HTTP/1.1\r\nHost: ", &self.address];
        if let Some(value) = authorization {
            parts.extend(["\r\nAuthorization: Basic ", value.as_str()]);
        }
        parts.extend([
            "\r\nContent-Length: ",
            &length,
            "\r\nConnection: close\r\n\r\n",
            &call.line,
        ]);
        parts.iter().for_each(|part| request.extend_from_slice(part.as_bytes()));
        request
    }
}
