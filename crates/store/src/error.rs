//! What can go wrong, said with the place and the object it happened to.

use std::fmt;
use std::io;
use std::time::Duration;

use rustix::io::Errno;

/// The operation that failed, or that a recording or fault plan is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening or starting a container.
    Open,
    /// Reading an object or part of it.
    Get,
    /// Asking for an object's size.
    Size,
    /// Creating an object.
    Create,
    /// Listing objects.
    List,
    /// Deleting an object.
    Delete,
    /// Making earlier creations durable.
    Barrier,
    /// Completing and publishing a portable file.
    Finish,
}

impl Op {
    /// Whether the operation changes what the store holds or promises.
    pub fn is_mutating(self) -> bool {
        matches!(self, Self::Create | Self::Delete | Self::Barrier | Self::Finish)
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Get => "read",
            Self::Size => "inspect",
            Self::Create => "write",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Barrier => "flush",
            Self::Finish => "complete",
        }
    }
}

/// A failed store operation.
#[derive(Debug, thiserror::Error)]
pub struct StoreError {
    /// What was attempted.
    pub op: Op,
    /// The object's name relative to the store; empty if the store as a whole is meant.
    pub object: String,
    /// Where the store is: a path, a file name or "memory".
    pub location: String,
    /// What went wrong.
    pub kind: StoreErrorKind,
    /// The system's error, if there was one.
    pub source: Option<io::Error>,
    /// What a store behind a network said, and how often it was asked.
    pub answer: Option<Box<Answer>>,
}

/// What is known of a failed request to a store behind a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The store's own words, shortened and without control characters; may be empty.
    pub detail: String,
    /// How often the request was made.
    pub attempts: u32,
    /// From the first attempt to the end of the last.
    pub elapsed: Duration,
    /// When the store wants to be asked again.
    pub(crate) retry_after: Option<Duration>,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.op.verb();
        match self.object.as_str() {
            "" => write!(f, "cannot {verb} {}: {}", self.location, self.kind)?,
            object => write!(f, "cannot {verb} {object} in {}: {}", self.location, self.kind)?,
        }
        self.answer.as_ref().map_or(Ok(()), |answer| answer.fmt(f))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.detail.is_empty() {
            write!(f, " ({})", self.detail)?;
        }
        if self.attempts > 1 {
            let seconds = self.elapsed.as_secs_f64();
            write!(f, "; tried {} times over {seconds:.1} s", self.attempts)?;
        }
        Ok(())
    }
}

impl StoreError {
    pub(crate) fn new(op: Op, location: &str, object: &str, kind: StoreErrorKind) -> Self {
        Self {
            op,
            object: object.to_owned(),
            location: location.to_owned(),
            kind,
            source: None,
            answer: None,
        }
    }

    pub(crate) fn io(op: Op, location: &str, object: &str, source: io::Error) -> Self {
        let kind = StoreErrorKind::of(&source);
        Self::new(op, location, object, kind).because(source)
    }

    pub(crate) fn because(self, source: io::Error) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Whether the object simply is not there.
    pub fn is_not_found(&self) -> bool {
        self.kind == StoreErrorKind::NotFound
    }
}

/// The classes of failure that callers tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreErrorKind {
    /// No object, file or folder of that name.
    #[error("it does not exist")]
    NotFound,
    /// The name of a portable file is taken.
    #[error("a file of that name exists already")]
    AlreadyExists,
    /// The system refused access.
    #[error("permission denied")]
    PermissionDenied,
    /// The disk is full or a quota is used up.
    #[error("no space left")]
    NoSpace,
    /// The store, or the file system below it, takes no changes.
    #[error("it is read-only")]
    ReadOnly,
    /// The object or container ends before the bytes asked for.
    #[error("it ends too early: truncated, or not completely copied")]
    Truncated,
    /// Not a name that an object can have here.
    #[error("not a valid object name")]
    InvalidName,
    /// The container contradicts itself; says in what.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// Something else than a store is at the location.
    #[error("not a Nodekeep store")]
    NotAStore,
    /// The container's format is another version than this program knows.
    #[error("its format needs a newer Nodekeep")]
    NewerFormat,
    /// Any other error of the system; see the source.
    #[error("input/output error")]
    Io,
    /// No connection: wrong name, nobody listens, no network.
    #[error("the store cannot be reached: check the endpoint and the network")]
    Unreachable,
    /// The certificate of the other side does not verify, or there are none to verify it with.
    #[error(
        "the store's certificate is not trusted: for a certificate of your own, name its authority in SSL_CERT_FILE or AWS_CA_BUNDLE; otherwise install ca-certificates"
    )]
    UntrustedCertificate,
    /// No answer in time; the request may have been carried out.
    #[error("the store did not answer in time")]
    TimedOut,
    /// The connection broke; the request may have been carried out.
    #[error("the connection to the store broke")]
    Interrupted,
    /// Too many requests.
    #[error("the store asks to slow down: try later, or with fewer requests at once")]
    Throttled,
    /// The store says that it has a problem; the request may have been carried out.
    #[error("the store has a problem of its own: try later, or ask who runs it")]
    Unavailable,
    /// Others are changing the same object.
    #[error("others are writing the same object: try again")]
    Conflict,
    /// None were given.
    #[error(
        "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile of ~/.aws/credentials in AWS_PROFILE"
    )]
    NoCredentials,
    /// The store does not know them, they have expired, or the secret half is wrong.
    #[error("the store does not accept the credentials: check the access key and its secret")]
    BadCredentials,
    /// Signatures are dated.
    #[error("this machine's clock differs too much from the store's: set it")]
    ClockSkew,
    /// There is no bucket of that name.
    #[error(
        "the bucket does not exist: check its name and the endpoint, or create it, for instance with `aws s3 mb s3://BUCKET`"
    )]
    NoSuchBucket,
    /// The bucket is elsewhere, or requests are signed for a region that is not the store's.
    #[error("the store is in another region: set AWS_REGION")]
    WrongRegion,
    /// A web server has no listings.
    #[error("this kind of store cannot list its objects")]
    NotListable,
    /// The store cannot create if absent.
    #[error("the store lacks what Nodekeep needs: creating an object only if it is absent")]
    Unsupported,
    /// More bytes than anything that is read as a whole may have.
    #[error("it is larger than anything Nodekeep writes")]
    TooLarge,
    /// Not what the protocol says; says what.
    #[error("the answer is not that of a store: {0}")]
    UnexpectedAnswer(&'static str),
    /// The store refuses the request as such.
    #[error("the store refuses the request")]
    Refused,
    /// The address or an option is of no use; says which.
    #[error("{0}")]
    BadOption(&'static str),
}

impl StoreErrorKind {
    /// Whether the same request may succeed a little later.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::TimedOut
                | Self::Interrupted
                | Self::Throttled
                | Self::Unavailable
                | Self::Conflict
                | Self::UnexpectedAnswer(_)
        )
    }

    /// Whether a request that failed so may have been carried out nevertheless.
    pub fn may_have_acted(self) -> bool {
        self.is_transient() && !matches!(self, Self::Unreachable | Self::Conflict)
    }

    pub(crate) fn of(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Truncated;
        }
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => Self::NotFound,
            Some(Errno::EXIST) => Self::AlreadyExists,
            Some(Errno::ACCESS | Errno::PERM) => Self::PermissionDenied,
            Some(Errno::NOSPC | Errno::DQUOT) => Self::NoSpace,
            Some(Errno::ROFS) => Self::ReadOnly,
            _ => Self::Io,
        }
    }
}
