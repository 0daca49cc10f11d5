//! Every key of the configuration file, once: what it takes, what holds without it, what it is for. The reading, the command `config` and
//! the reference in the documentation come from here.

use toml::Value;

use super::{parse_rate, parse_threads};

/// A key of the configuration file.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes.
    pub form: Form,
    /// The environment variable that beats it.
    pub variable: Option<&'static str>,
    /// What holds without it.
    pub default: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// How it may look.
    pub example: &'static str,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// A path; `~/` at its start is the user's home.
    Path,
    /// A list of texts.
    Texts,
    /// Yes or no.
    Flag,
    /// From 1 to 256.
    Count,
    /// Bytes per second.
    Rate,
    /// Bytes.
    Size,
    /// A table of its own keys.
    Table,
    /// Sections in double brackets.
    Sections,
}

impl Form {
    /// What is expected, in words.
    pub fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Path => "a path in quotes",
            Self::Texts => "a list of texts: [\"…\", \"…\"]",
            Self::Flag => "true or false",
            Self::Count => "a number from 1 to 256",
            Self::Rate => "bytes per second in quotes, as in \"10MiB\"",
            Self::Size => "bytes in quotes, as in \"500GiB\"",
            Self::Table => "a table, written with `nodekeep config edit`",
            Self::Sections => "sections in double brackets, written with `nodekeep config edit`",
        }
    }

    /// Whether a value is one.
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Path => value.is_str(),
            Self::Texts => value.as_array().is_some_and(|items| items.iter().all(Value::is_str)),
            Self::Flag => value.is_bool(),
            Self::Count => {
                value.as_integer().is_some_and(|n| parse_threads(&n.to_string()).is_some())
            }
            Self::Rate | Self::Size => value.as_str().is_some_and(|text| parse_rate(text).is_ok()),
            Self::Table => value.is_table(),
            Self::Sections => {
                value.as_array().is_some_and(|items| items.iter().all(Value::is_table))
            }
        }
    }

    /// What words typed after a key mean; several words are a list.
    pub fn read(self, words: &[String]) -> Option<Value> {
        let one = || match words {
            [word] => Some(word.clone()),
            _ => None,
        };
        let value = match self {
            Self::Text | Self::Path | Self::Rate | Self::Size => Value::String(one()?),
            Self::Texts => Value::Array(words.iter().cloned().map(Value::String).collect()),
            Self::Flag => Value::Boolean(one()?.parse().ok()?),
            Self::Count => Value::Integer(one()?.parse().ok()?),
            Self::Table | Self::Sections => return None,
        };
        self.fits(&value).then_some(value)
    }
}

/// The key of this name.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether there are keys in a section of this name.
pub fn has_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.split_once('.').is_some_and(|(section, _)| section == name))
}

/// Names of all keys.
pub fn names() -> Vec<&'static str> {
    KEYS.iter().map(|key| key.name).collect()
}

/// The page of the documentation.
pub fn reference() -> String {
    let mut text = "# Configuration\n\nOne file, `nodekeep config path` says where. Every key has a default, and unknown keys are refused. A name with a dot stands in a section: `http.listen` is `listen` below `[http]`. An option beats the environment, the environment beats the file. This page is what `nodekeep config reference` prints.\n"
        .to_owned();
    for key in &KEYS {
        let variable =
            key.variable.map_or_else(String::new, |name| format!(" Environment: `{name}`."));
        text.push_str(&format!(
            "\n## `{}`\n{}\n\nTakes {}. Default: {}.{variable}\n\n```toml\n{} = {}\n```\n",
            key.name,
            key.about,
            key.form.expected(),
            key.default,
            key.name,
            key.example,
        ));
    }
    text
}

const fn key(
    name: &'static str,
    form: Form,
    variable: Option<&'static str>,
    default: &'static str,
    about: &'static str,
    example: &'static str,
) -> Key {
    Key { name, form, variable, default, about, example }
}

/// Every key.
pub static KEYS: [Key; 33] = [
    key(
        "repo",
        Form::Text,
        Some("NODEKEEP_REPO"),
        "the embedded repository in Nodekeep's own folder",
        "Where the repository is: a folder, `s3://bucket/prefix`, or `https://…` for a mirror.",
        "\"s3://my-backups/nodes\"",
    ),
    key(
        "identity",
        Form::Path,
        Some("NODEKEEP_IDENTITY_FILE"),
        "the owner's, kept for this repository",
        "An age or SSH identity to read with instead of the owner's.",
        "\"~/.ssh/id_ed25519\"",
    ),
    key(
        "credential",
        Form::Path,
        Some("NODEKEEP_CREDENTIAL_FILE"),
        "the one kept for this repository",
        "A writer credential to write with.",
        "\"/etc/nodekeep/credential\"",
    ),
    key(
        "host",
        Form::Text,
        Some("NODEKEEP_HOST"),
        "the machine's name",
        "What this machine is called in snapshots.",
        "\"rack1\"",
    ),
    key(
        "compress",
        Form::Text,
        Some("NODEKEEP_COMPRESS"),
        "`zstd:1`",
        "How chunks are compressed: `none`, `zstd`, or `zstd:LEVEL` from 1 to 19.",
        "\"zstd:3\"",
    ),
    key(
        "exclude",
        Form::Texts,
        None,
        "none",
        "Globs of what backups of paths leave out, besides those of `--exclude`.",
        "[\"*.tmp\", \"node_modules\"]",
    ),
    key(
        "exclude-if-present",
        Form::Texts,
        None,
        "none",
        "Folders that hold a file of one of these names are left out.",
        "[\"CACHEDIR.TAG\"]",
    ),
    key(
        "one-file-system",
        Form::Flag,
        None,
        "false",
        "Stay on the file system where a path begins.",
        "true",
    ),
    key(
        "threads",
        Form::Count,
        Some("NODEKEEP_THREADS"),
        "the machine's cores; a backup reads with one more",
        "Threads for hashing, compressing and encrypting.",
        "2",
    ),
    key(
        "connections",
        Form::Count,
        Some("NODEKEEP_CONNECTIONS"),
        "32 over a network",
        "Requests to a store on another host that wait for an answer at once.",
        "64",
    ),
    key(
        "limit-upload",
        Form::Rate,
        Some("NODEKEEP_LIMIT_UPLOAD"),
        "no limit",
        "Send no more than this each second.",
        "\"10MiB\"",
    ),
    key(
        "limit-download",
        Form::Rate,
        Some("NODEKEEP_LIMIT_DOWNLOAD"),
        "no limit",
        "Receive no more than this each second.",
        "\"50MiB\"",
    ),
    key(
        "s3-endpoint",
        Form::Text,
        Some("NODEKEEP_S3_ENDPOINT"),
        "that of the AWS variables and files, or of AWS",
        "Where the object store answers, with scheme.",
        "\"https://s3.example.org\"",
    ),
    key(
        "s3-region",
        Form::Text,
        Some("NODEKEEP_S3_REGION"),
        "that of the AWS variables and files, or us-east-1",
        "The region that requests are signed for.",
        "\"eu-central-1\"",
    ),
    key(
        "s3-path-style",
        Form::Flag,
        Some("NODEKEEP_S3_PATH_STYLE"),
        "true with an endpoint, else false",
        "Whether the bucket stands in the path instead of the host's name.",
        "true",
    ),
    key(
        "s3-profile",
        Form::Text,
        Some("NODEKEEP_S3_PROFILE"),
        "`default`",
        "The section of the files of AWS with credentials.",
        "\"backups\"",
    ),
    key(
        "s3-anonymous",
        Form::Flag,
        Some("NODEKEEP_S3_ANONYMOUS"),
        "false",
        "Send requests without a signature: for public buckets.",
        "true",
    ),
    key(
        "s3-metadata-service",
        Form::Flag,
        Some("NODEKEEP_S3_METADATA_SERVICE"),
        "false",
        "Ask the cloud machine's metadata service for credentials.",
        "true",
    ),
    key(
        "allow-plain-http",
        Form::Flag,
        Some("NODEKEEP_ALLOW_PLAIN_HTTP"),
        "false",
        "Read mirrors on other hosts without encryption.",
        "true",
    ),
    key(
        "notify",
        Form::Sections,
        None,
        "nobody is told",
        "Who is told of what, and how: see [notifications.md](notifications.md).",
        "[{ name = \"ops\", by = \"ntfy\", url = \"https://ntfy.sh/my-topic\" }]",
    ),
    key(
        "http.listen",
        Form::Text,
        None,
        "`127.0.0.1:7717`",
        "Where the daemon serves its dashboard and API, or `off`: see [api.md](api.md).",
        "\"127.0.0.1:7717\"",
    ),
    key(
        "http.tls-cert",
        Form::Path,
        None,
        "no TLS",
        "The certificate's chain, PEM; needed to listen on anything but loopback.",
        "\"/etc/nodekeep/tls.pem\"",
    ),
    key(
        "http.tls-key",
        Form::Path,
        None,
        "no TLS",
        "The certificate's key, PEM.",
        "\"/etc/nodekeep/tls.key\"",
    ),
    key(
        "http.hosts",
        Form::Texts,
        None,
        "those of loopback, and the address it listens on",
        "Further names by which the dashboard may be asked; requests for other names are refused.",
        "[\"nodes.example.org\"]",
    ),
    key(
        "http.metrics-open",
        Form::Flag,
        None,
        "false",
        "Give the figures of `/metrics` without a token; on loopback only.",
        "true",
    ),
    key(
        "http.plain",
        Form::Flag,
        None,
        "false",
        "Listen on other addresses than loopback without TLS, because a proxy before it has it.",
        "true",
    ),
    key(
        "targets",
        Form::Table,
        None,
        "what a node's schedule allows, and without one a week; any time for a return",
        "What is wanted of every node, each a span such as `90s`, `10m`, `1h`, `30d` or `2w`: `rpo`, how old the newest complete snapshot may be; `rto`, how long a return may take, as a drill measures it; `drill` and `verify`, how old the last drill and the last check of all data may be. See [monitoring.md](monitoring.md).",
        "{ rpo = \"1h\", rto = \"10m\", drill = \"30d\" }",
    ),
    key(
        "nodes",
        Form::Table,
        None,
        "the usual targets",
        "The same for one node, by its name: the section `[nodes.NAME]`.",
        "{ guts = { rpo = \"15m\" }, relay = { rto = \"1h\" } }",
    ),
    key(
        "capacity",
        Form::Size,
        None,
        "the room of the file system; not known for an object store",
        "How large the repository may become, where nothing else says so.",
        "\"500GiB\"",
    ),
    key(
        "verify-backups",
        Form::Flag,
        None,
        "false",
        "Look at each snapshot of a node right after it was made: all chunks are there, sizes add up, a sample is read back. It needs a key that reads, and the result is recorded.",
        "true",
    ),
    key(
        "pre-deployment-backup",
        Form::Flag,
        None,
        "false",
        "Whether `nodekeep deploy` makes a verified backup first, as `nodekeep guard` does.",
        "true",
    ),
    key(
        "metrics",
        Form::Table,
        None,
        "nowhere",
        "Where `nodekeep metrics push` sends to: `push`, the address of a Pushgateway; `user` with `password-file`, or `token-file`.",
        "{ push = \"https://push.example.org\", user = \"nodekeep\", password-file = \"/etc/nodekeep/push-password\" }",
    ),
    key(
        "color",
        Form::Flag,
        Some("NO_COLOR"),
        "true on a terminal",
        "Whether colours are wanted.",
        "false",
    ),
];
