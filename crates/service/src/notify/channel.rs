//! Where messages go: what the configuration says of each channel, checked before anything is sent.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::{Message, Topic, http, mail, program};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name: the outbox keeps what it has not taken by it.
    pub name: String,
    /// What it hears.
    pub on: Vec<Topic>,
    /// Only these nodes; none: all.
    pub nodes: Vec<String>,
    /// How it is reached.
    pub transport: Transport,
}

/// How a channel is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// A POST of JSON.
    Web {
        /// Where to.
        url: Secret,
        /// Sent as `Authorization: Bearer …`.
        token: Option<Secret>,
        /// What the body looks like.
        body: Body,
    },
    /// A mail.
    Mail(Mail),
    /// A program; it finds the message in its environment and, as JSON, on its standard input.
    Program(Vec<String>),
}

/// The form of a web request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// All fields of the message.
    Plain,
    /// A text of the user's, with `{title}` and the other fields filled in, escaped for JSON.
    Template(String),
    /// What Slack and Mattermost take.
    Slack,
    /// What Discord takes.
    Discord,
    /// What Matrix's hookshot takes.
    Matrix,
    /// What ntfy takes.
    Ntfy,
}

/// How mail is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The server's name.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// Who logs in, and the password.
    pub login: Option<(String, Secret)>,
    /// The sender.
    pub from: String,
    /// The receivers.
    pub recipients: Vec<String>,
}

/// How a connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// STARTTLS, and nothing without it.
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: for a server on this machine.
    None,
}

/// What may hold a secret: given, or in a file that is read when it is needed. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// Here.
    Given(Zeroizing<String>),
    /// In a file; its first line counts.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Given(_) => f.write_str("Given(…)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Secret {
    /// What it is.
    ///
    /// # Errors
    /// Why the file cannot be read, in words.
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Given(text) => Ok(text.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map(Zeroizing::new);
                let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
                Ok(Zeroizing::new(text.lines().next().unwrap_or_default().trim().to_owned()))
            }
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// In words, without secrets.
    pub reason: String,
    /// Whether it may be taken later.
    pub may_retry: bool,
}

impl Refused {
    pub(super) fn later(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_retry: true }
    }

    pub(super) fn never(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), may_retry: false }
    }
}

impl Channel {
    /// Whether it wants to hear this.
    pub fn wants(&self, message: &Message) -> bool {
        let of_its_nodes = self.nodes.is_empty()
            || message.node.as_ref().is_some_and(|node| self.nodes.contains(node));
        self.on.contains(&message.topic) && of_its_nodes
    }

    /// Its kind in a word.
    pub fn kind(&self) -> &'static str {
        match &self.transport {
            Transport::Web { body, .. } => match body {
                Body::Plain | Body::Template(_) => "webhook",
                Body::Slack => "slack",
                Body::Discord => "discord",
                Body::Matrix => "matrix",
                Body::Ntfy => "ntfy",
            },
            Transport::Mail(_) => "smtp",
            Transport::Program(_) => "command",
        }
    }

    /// Where it leads, without what is secret: of an address only scheme and host, for the rest of it often is the key.
    pub fn leads_to(&self) -> String {
        match &self.transport {
            Transport::Web { url: Secret::Given(url), .. } => host_of(url),
            Transport::Web { url: Secret::File(path), .. } => {
                format!("the address in {}", path.display())
            }
            Transport::Mail(mail) => mail.recipients.join(", "),
            Transport::Program(argv) => argv.first().cloned().unwrap_or_default(),
        }
    }

    /// Puts the paths of secrets where they are meant.
    pub fn place(&mut self, place: impl Fn(&Path) -> PathBuf) {
        let secrets = match &mut self.transport {
            Transport::Web { url, token, .. } => vec![Some(url), token.as_mut()],
            Transport::Mail(mail) => vec![mail.login.as_mut().map(|(_, password)| password)],
            Transport::Program(_) => Vec::new(),
        };
        for secret in secrets.into_iter().flatten() {
            if let Secret::File(path) = secret {
                *path = place(path);
            }
        }
    }

    /// Sends.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn send(&self, message: &Message) -> Result<(), Refused> {
        match &self.transport {
            Transport::Web { url, token, body } => http::post(url, token.as_ref(), body, message),
            Transport::Mail(mail) => mail::send(mail, message),
            Transport::Program(argv) => program::run(argv, message),
        }
    }
}

/// Scheme and host of an address.
fn host_of(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return "…".to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/…")
}

/// A section `[[notify]]` as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Written {
    name: String,
    by: By,
    #[serde(default)]
    on: Option<Vec<Topic>>,
    #[serde(default)]
    nodes: Vec<String>,
    url: Option<String>,
    url_file: Option<PathBuf>,
    token_file: Option<PathBuf>,
    template: Option<String>,
    server: Option<String>,
    port: Option<u16>,
    security: Option<Security>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    from: Option<String>,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    run: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum By {
    Webhook,
    Slack,
    Discord,
    Matrix,
    Ntfy,
    Smtp,
    Command,
}

impl Written {
    /// The channel, if what is written makes one.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn channel(self) -> Result<Channel, String> {
        let name = self.name.clone();
        let in_words = |reason: String| format!("notify `{name}`: {reason}");
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(in_words("its name is letters, digits, `-` and `_`".to_owned()));
        }
        let on = self.on.clone().unwrap_or_else(|| Topic::USUAL.to_vec());
        let nodes = self.nodes.clone();
        let transport = self.transport().map_err(in_words)?;
        Ok(Channel { name, on, nodes, transport })
    }

    fn transport(self) -> Result<Transport, String> {
        match self.by {
            By::Smtp => self.mail().map(Transport::Mail),
            By::Command if self.run.is_empty() => Err("`run` is missing: [\"/path\"]".to_owned()),
            By::Command => Ok(Transport::Program(self.run)),
            _ => self.web(),
        }
    }

    fn web(self) -> Result<Transport, String> {
        let url = match (self.url, self.url_file) {
            (Some(url), None) => Secret::Given(Zeroizing::new(url)),
            (None, Some(path)) => Secret::File(path),
            _ => return Err("it needs `url`, or `url-file` where the address is secret".to_owned()),
        };
        let body = match (self.by, self.template) {
            (By::Webhook, Some(template)) => Body::Template(template),
            (_, Some(_)) => return Err("`template` goes with `by = \"webhook\"`".to_owned()),
            (By::Slack, None) => Body::Slack,
            (By::Discord, None) => Body::Discord,
            (By::Matrix, None) => Body::Matrix,
            (By::Ntfy, None) => Body::Ntfy,
            _ => Body::Plain,
        };
        Ok(Transport::Web { url, token: self.token_file.map(Secret::File), body })
    }

    fn mail(self) -> Result<Mail, String> {
        let missing = |what: &str| format!("`{what}` is missing");
        let security = self.security.unwrap_or(Security::Starttls);
        let usual = match security {
            Security::Starttls => 587,
            Security::Tls => 465,
            Security::None => 25,
        };
        if self.recipients.is_empty() {
            return Err(missing("recipients"));
        }
        let login = match (self.user, self.password_file) {
            (Some(user), Some(path)) => Some((user, Secret::File(path))),
            (None, None) => None,
            _ => return Err("`user` and `password-file` go together".to_owned()),
        };
        Ok(Mail {
            server: self.server.ok_or_else(|| missing("server"))?,
            port: self.port.unwrap_or(usual),
            security,
            login,
            from: self.from.ok_or_else(|| missing("from"))?,
            recipients: self.recipients,
        })
    }
}
