//! The node's commands over HTTP, as the node really speaks it.
//!
//! Its server knows header names by their exact case, ends lines with a bare LF, answers 200 to what it refuses, repeats every parameter
//! in its answer, splits commands at `;` even within quotes, and can say that all is well while a deeper part of the answer says that
//! nothing is. So requests are written here byte by byte, an answer is searched for every `status`, and what a person is shown of an
//! answer is the node's own sentence with everything secret taken out.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use zeroize::Zeroizing;

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: u64 = 64 << 20;
/// The most headers that an answer may have.
const MOST_HEADERS: usize = 100;
/// How long a connection may take to open: the node is near.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// The name that the node's own password belongs to.
const USER: &str = "minima";

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
    /// Whether the node may have begun: its answer got lost, so that nobody knows.
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Slow { .. })
    }
}

/// What comes back.
pub type Result<T> = std::result::Result<T, RpcError>;

/// A command that is safe to send.
#[derive(Clone)]
pub struct Call {
    name: &'static str,
    line: Zeroizing<String>,
    secrets: Vec<Zeroizing<String>>,
}

/// Shows the name alone: parameters may be secret.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Call {
    /// A command without parameters.
    pub fn new(name: &'static str) -> Self {
        Self { name, line: Zeroizing::new(name.to_owned()), secrets: Vec::new() }
    }

    /// Adds a parameter.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`] for a value that the node would take apart.
    pub fn with(mut self, name: &'static str, value: &str) -> Result<Self> {
        safe(value).map_err(|why| RpcError::Unsafe { what: format!("`{name}`"), why })?;
        self.add(name, value, "");
        Ok(self)
    }

    /// Adds a parameter that no message may show.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`]
    pub fn with_secret(mut self, name: &'static str, value: &str) -> Result<Self> {
        self.secrets.push(Zeroizing::new(value.to_owned()));
        self.with(name, value)
    }

    /// Adds the node's phrase: words with blanks between them.
    ///
    /// # Errors
    /// [`RpcError::Unsafe`] if it holds anything but letters and single blanks.
    pub fn with_phrase(mut self, name: &'static str, words: &str) -> Result<Self> {
        let is_plain = words
            .split(' ')
            .all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic()));
        if !is_plain {
            let why = "a phrase is made of words of the letters A to Z with one blank between them";
            return Err(RpcError::Unsafe { what: format!("`{name}`"), why });
        }
        self.secrets.push(Zeroizing::new(words.to_owned()));
        self.add(name, words, "\"");
        Ok(self)
    }

    fn add(&mut self, name: &str, value: &str, quote: &str) {
        // A line that grows would leave its old copies in memory.
        let mut line = Zeroizing::new(String::with_capacity(
            self.line.len() + name.len() + value.len() + 2 * quote.len() + 2,
        ));
        for part in [self.line.as_str(), " ", name, ":", quote, value, quote] {
            line.push_str(part);
        }
        self.line = line;
    }

    /// A sentence of the node without what is secret in it.
    fn without_secrets(&self, said: &str) -> String {
        let hide = |said: String, secret: &Zeroizing<String>| said.replace(secret.as_str(), "…");
        self.secrets.iter().filter(|secret| !secret.is_empty()).fold(said.to_owned(), hide)
    }
}

/// Whether a value survives the node's own way to read commands.
fn safe(value: &str) -> std::result::Result<(), &'static str> {
    match value {
        "" => Err("it is empty"),
        _ if !value.is_ascii() => {
            Err("the node never answers to letters outside of ASCII: use A to Z, digits and signs")
        }
        _ if value.bytes().any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control()) => {
            Err("the node ends a value at a blank")
        }
        _ if value.contains(';') => Err("the node begins a new command at `;`"),
        _ if value.contains(['"', '{', '}', '[', ']']) => {
            Err("the node reads quotation marks, braces and brackets as its own")
        }
        _ if value.contains(":\\") => Err("the node takes `:\\` for a path of Windows"),
        _ => Ok(()),
    }
}

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
                reason: call.without_secrets(&reason),
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
        let deadline = Instant::now() + patience;
        stream.set_write_timeout(Some(patience)).map_err(told)?;
        (&stream).write_all(&self.request(call)).map_err(told)?;
        let mut from = BufReader::new(Patient { stream: &stream, deadline });
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

/// A stream whose every read ends at one moment.
struct Patient<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for Patient<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut stream = self.stream;
        stream.read(into)
    }
}

/// Status and length of an answer. Lines end with LF or CRLF, names are in any case.
fn head(from: &mut impl BufRead) -> io::Result<(u16, Option<u64>)> {
    let odd = || io::Error::new(io::ErrorKind::InvalidData, "it does not speak HTTP");
    let first = line(from)?;
    let status = first.split_ascii_whitespace().nth(1).and_then(|word| word.parse().ok());
    let status = status.filter(|_| first.starts_with("HTTP/")).ok_or_else(odd)?;
    let mut length = None;
    for _ in 0..MOST_HEADERS {
        let header = line(from)?;
        if header.is_empty() {
            return Ok((status, length));
        }
        if let Some((name, value)) = header.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = Some(value.trim().parse().map_err(|_| odd())?);
        }
    }
    Err(odd())
}

fn line(from: &mut impl BufRead) -> io::Result<String> {
    let mut bytes = Vec::new();
    from.by_ref().take(8 << 10).read_until(b'\n', &mut bytes)?;
    if bytes.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    String::from_utf8(bytes)
        .map(|line| line.trim_end_matches('\r').to_owned())
        .map_err(|_| io::ErrorKind::InvalidData.into())
}

fn body(from: &mut impl Read, length: Option<u64>) -> io::Result<Zeroizing<Vec<u8>>> {
    let wanted = length.unwrap_or(LARGEST_ANSWER);
    if wanted > LARGEST_ANSWER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too large"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    from.take(wanted).read_to_end(&mut bytes)?;
    match length {
        Some(length) if (bytes.len() as u64) < length => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(bytes),
    }
}

/// Why an answer is none, wherever in it that stands: the innermost reason says the most.
fn refusal(value: &Value) -> Option<String> {
    let members: Vec<&Value> = match value {
        Value::Object(members) => members.values().collect(),
        Value::Array(items) => items.iter().collect(),
        _ => return None,
    };
    if let Some(inner) = members.into_iter().find_map(refusal) {
        return Some(inner);
    }
    let failed = value.get("status") == Some(&Value::Bool(false));
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    failed.then(|| {
        text("error").or_else(|| text("message")).unwrap_or_else(|| "it gives no reason".to_owned())
    })
}

#[cfg(test)]
mod tests;
