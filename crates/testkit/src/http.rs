//! As much of HTTP/1.1 as the proxy and a test's own requests need: heads, and where bodies end.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A head longer than this is refused, in bytes.
const LONGEST_HEAD: u64 = 64 * 1024;

/// So much of a body is moved at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The first line and the headers of a request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The first line, without its end.
    pub start: String,
    /// Names as they came, and values.
    pub headers: Vec<(String, String)>,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// There is none, or it has so many bytes.
    Bytes(u64),
    /// It comes in chunks, the last of them empty.
    Chunked,
    /// Where the connection ends.
    UntilClosed,
}

/// What a server answered, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status, as 200.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: Vec<u8>,
}

impl Head {
    /// Reads a head; `None` if the other side closed the connection before it began one.
    ///
    /// # Errors
    /// If the connection breaks within the head, or it is not one.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut from = from.take(LONGEST_HEAD);
        let Some(start) = line(&mut from)? else {
            return Ok(None);
        };
        let mut headers = Vec::new();
        loop {
            let line = line(&mut from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line.is_empty() {
                return Ok(Some(Self { start, headers }));
            }
            let (name, value) = line.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }

    /// The head's bytes, with the empty line that ends it.
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// A header's value, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Puts one value in the place of all that a header has.
    pub fn set(&mut self, name: &str, value: String) {
        self.remove(name);
        self.headers.push((name.to_owned(), value));
    }

    /// Takes a header out.
    pub fn remove(&mut self, name: &str) {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
    }

    /// The method of a request.
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// The path and query of a request.
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// The status of an answer.
    ///
    /// # Errors
    /// If the head is not that of an answer.
    pub fn status(&self) -> io::Result<u16> {
        let word = self.start.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(word.ok_or(io::ErrorKind::InvalidData)?)
    }

    /// Whether the sender closes the connection after this message.
    pub fn closes(&self) -> bool {
        self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Where the body of this request ends.
    ///
    /// # Errors
    /// If the length is not a number.
    pub fn request_body(&self) -> io::Result<Body> {
        Ok(self.framing()?.unwrap_or(Body::Bytes(0)))
    }

    /// Where the body of this answer to a request of `method` ends.
    ///
    /// # Errors
    /// If the status or length is not a number.
    pub fn answer_body(&self, method: &str) -> io::Result<Body> {
        let status = self.status()?;
        if method == "HEAD" || status / 100 == 1 || status == 204 || status == 304 {
            return Ok(Body::Bytes(0));
        }
        Ok(self.framing()?.unwrap_or(Body::UntilClosed))
    }

    fn framing(&self) -> io::Result<Option<Body>> {
        if self.header("transfer-encoding").is_some() {
            return Ok(Some(Body::Chunked));
        }
        let length = self.header("content-length").map(str::parse);
        Ok(length.transpose().map_err(|_| io::ErrorKind::InvalidData)?.map(Body::Bytes))
    }
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.pop_if(|last| *last == b'\r');
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

impl Body {
    /// Moves a body as it is, chunk marks and all.
    ///
    /// # Errors
    /// If either side breaks, or the body ends too early.
    pub fn copy(self, from: &mut impl BufRead, to: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(len) => copy_exactly(from, to, len),
            Self::UntilClosed => io::copy(from, to).map(drop),
            Self::Chunked => {
                while copy_chunk(from, to)? {}
                Ok(())
            }
        }
    }

    /// Reads a body as its content.
    ///
    /// # Errors
    /// As [`Body::copy`].
    pub fn read(self, from: &mut impl BufRead) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        match self {
            Self::Chunked => {
                while let len @ 1.. = chunk_length(from)?.1 {
                    copy_exactly(from, &mut content, len)?;
                    line(from)?;
                }
                while line(from)?.is_some_and(|line| !line.is_empty()) {}
            }
            _ => self.copy(from, &mut content)?,
        }
        Ok(content)
    }
}

/// Moves one chunk; false after the last.
fn copy_chunk(from: &mut impl BufRead, to: &mut impl Write) -> io::Result<bool> {
    let (mark, len) = chunk_length(from)?;
    write!(to, "{mark}\r\n")?;
    if len > 0 {
        // The chunk's end belongs to it.
        copy_exactly(from, to, len + 2)?;
        return Ok(true);
    }
    loop {
        let trailer = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        write!(to, "{trailer}\r\n")?;
        if trailer.is_empty() {
            return Ok(false);
        }
    }
}

fn chunk_length(from: &mut impl BufRead) -> io::Result<(String, u64)> {
    let mark = line(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let digits = mark.split(';').next().unwrap_or_default().trim();
    let len = u64::from_str_radix(digits, 16).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok((mark, len))
}

fn copy_exactly(from: &mut impl Read, to: &mut impl Write, len: u64) -> io::Result<()> {
    let mut left = len;
    let mut piece = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
    while left > 0 {
        let want = piece.len().min(usize::try_from(left).unwrap_or(piece.len()));
        match from.read(&mut piece[..want])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            got => {
                to.write_all(&piece[..got])?;
                left -= got as u64;
            }
        }
    }
    Ok(())
}

/// Sends one request over a connection of its own, and reads the answer.
///
/// # Errors
/// If the server cannot be reached, or does not answer in HTTP.
pub fn send(server: SocketAddr, head: &Head, body: &[u8]) -> io::Result<Answer> {
    let mut connection = TcpStream::connect(server)?;
    let mut head = head.clone();
    head.set("Connection", "close".to_owned());
    head.set("Content-Length", body.len().to_string());
    connection.write_all(&head.bytes())?;
    connection.write_all(body)?;
    receive(&mut BufReader::new(connection), head.method())
}

/// Reads the answer to a request of `method`.
///
/// # Errors
/// If the connection breaks, or what comes is not HTTP.
pub fn receive(from: &mut impl BufRead, method: &str) -> io::Result<Answer> {
    let head = Head::read(from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let body = head.answer_body(method)?.read(from)?;
    Ok(Answer { status: head.status()?, head, body })
}
