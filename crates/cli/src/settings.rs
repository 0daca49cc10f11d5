//! Settings: an option beats the environment, the environment beats the configuration file, the file beats the default.

pub mod keys;
mod remote;
mod wanted;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nodekeep_http::settings::Settings as Web;
use nodekeep_service::fleet::targets::Targets;
use nodekeep_service::metrics::push::Gateway;
use nodekeep_service::notify::channel::{Channel, Written};
use toml::{Table, Value};

use crate::args::Globals;
use crate::commands::daemon::RoleArg;
use crate::error::{Error, Result};
use crate::home::Home;

pub use remote::{Remote, parse_rate};

/// What is in force for this run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The repository; `None`: the embedded one.
    pub repo: Option<String>,
    /// An age or SSH identity to read with.
    pub identity: Option<PathBuf>,
    /// A writer credential.
    pub credential: Option<PathBuf>,
    /// How to compress, as it was written.
    pub compress: Option<String>,
    /// Globs to leave out.
    pub exclude: Vec<String>,
    /// Folders with such a file are left out.
    pub exclude_if_present: Vec<String>,
    /// Whether to stay on one file system.
    pub one_file_system: bool,
    /// Host name for snapshots.
    pub host: Option<String>,
    /// Threads for heavy work.
    pub threads: Option<usize>,
    /// Whether colours are wanted at all.
    pub color: bool,
    /// How repositories on other hosts are reached.
    pub remote: Remote,
    /// Who is told of what happens.
    pub notify: Vec<Channel>,
    /// Where the daemon's dashboard listens, and to whom.
    pub http: Web,
    /// What is wanted of nodes.
    pub targets: Targets,
    /// Bytes that fit where the repository is, as a person set it.
    pub capacity: Option<u64>,
    /// Whether each backup of a node is verified.
    pub verify_backups: bool,
    /// Whether a node is backed up before it is deployed.
    pub pre_deployment_backup: bool,
    /// Where metrics are pushed to.
    pub metrics: Gateway,
    /// The most that keys are used for.
    pub role: Option<RoleArg>,
    /// Whether the user said that nobody else works on the repository now.
    pub alone: bool,
}

impl Settings {
    /// Reads the file and the environment under the options.
    ///
    /// # Errors
    /// Names the key, variable or file that cannot be used.
    pub fn load(globals: &Globals, home: &Home) -> Result<Self> {
        let mut settings = Self { color: true, ..Self::default() };
        let path = chosen(globals);
        if let Some(file) =
            ConfigFile::read(path.as_deref().unwrap_or(home.config()), path.is_some())?
        {
            settings.apply_file(&file)?;
        }
        settings.apply_environment()?;
        settings.apply_options(globals);
        Ok(settings)
    }

    /// Reads a text as the file would be read, to find what is wrong with it.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn check(path: &Path, text: &str) -> Result<()> {
        Self::default().apply_file(&ConfigFile::parse(path, text)?)
    }

    /// Who is told, as the file says now.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub fn channels(path: &Path) -> Result<Vec<Channel>> {
        match ConfigFile::read(path, false)? {
            Some(file) => file.channels(),
            None => Ok(Vec::new()),
        }
    }

    /// What is wanted of nodes, as the file says now.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub fn targets(path: &Path) -> Result<Targets> {
        match ConfigFile::read(path, false)? {
            Some(file) => file.targets(),
            None => Ok(Targets::default()),
        }
    }

    fn apply_file(&mut self, file: &ConfigFile) -> Result<()> {
        self.repo = file.text("repo")?.map(|text| expand(&text));
        self.identity = file.text("identity")?.map(|text| expand(&text).into());
        self.credential = file.text("credential")?.map(|text| expand(&text).into());
        self.compress = file.text("compress")?;
        self.exclude = file.texts("exclude")?;
        self.exclude_if_present = file.texts("exclude-if-present")?;
        self.one_file_system = file.flag("one-file-system")?.unwrap_or(false);
        self.host = file.text("host")?;
        self.threads = file.number("threads")?;
        self.color = file.flag("color")?.unwrap_or(true);
        self.notify = file.channels()?;
        self.http = file.web()?;
        self.targets = file.targets()?;
        self.verify_backups = file.flag("verify-backups")?.unwrap_or(false);
        self.pre_deployment_backup = file.flag("pre-deployment-backup")?.unwrap_or(false);
        self.metrics = file.table("metrics")?;
        self.capacity = file.rate("capacity")?.map(|bytes| bytes.get() as u64);
        self.remote.apply_file(file)
    }

    fn apply_environment(&mut self) -> Result<()> {
        replace(&mut self.repo, variable("NODEKEEP_REPO"));
        replace(&mut self.identity, variable("NODEKEEP_IDENTITY_FILE").map(PathBuf::from));
        replace(&mut self.credential, variable("NODEKEEP_CREDENTIAL_FILE").map(PathBuf::from));
        replace(&mut self.compress, variable("NODEKEEP_COMPRESS"));
        replace(&mut self.host, variable("NODEKEEP_HOST"));
        if let Some(text) = variable("NODEKEEP_THREADS") {
            self.threads = Some(
                parse_threads(&text)
                    .ok_or_else(|| bad_threads("environment", "NODEKEEP_THREADS"))?,
            );
        }
        self.color &= env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        self.remote.apply_environment()
    }

    fn apply_options(&mut self, globals: &Globals) {
        replace(&mut self.repo, globals.repo.clone());
        replace(&mut self.identity, globals.identity.clone());
        replace(&mut self.credential, globals.credential.clone());
        self.color &= !globals.no_color;
        self.remote.apply_options(globals);
        self.alone = globals.alone;
        self.role = globals.as_role;
    }
}

/// The configuration file that was named, by option or environment.
pub fn chosen(globals: &Globals) -> Option<PathBuf> {
    globals.config.clone().or_else(|| variable("NODEKEEP_CONFIG").map(PathBuf::from))
}

fn replace<T>(slot: &mut Option<T>, value: Option<T>) {
    if value.is_some() {
        *slot = value;
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// `~/` at the start of a path in the configuration file is the user's home.
fn expand(text: &str) -> String {
    match (text.strip_prefix("~/"), variable("HOME")) {
        (Some(rest), Some(home)) => format!("{home}/{rest}"),
        _ => text.to_owned(),
    }
}

fn parse_threads(text: &str) -> Option<usize> {
    text.parse().ok().filter(|threads| (1..=256).contains(threads))
}

fn bad_threads(origin: &str, key: &str) -> Error {
    Error::BadSetting {
        origin: origin.to_owned(),
        key: key.to_owned(),
        expected: "a number from 1 to 256",
    }
}

struct ConfigFile {
    path: PathBuf,
    table: Table,
}

impl ConfigFile {
    fn read(path: &Path, required: bool) -> Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !required => return Ok(None),
            result => result.map_err(Error::file(path, "read"))?,
        };
        Self::parse(path, &text).map(Some)
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| Error::BadConfig {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        match written(&table).into_iter().find(|key| keys::find(key).is_none()) {
            Some(key) => Err(Error::UnknownKey {
                path: path.to_owned(),
                suggestion: nearest(&key, &keys::names()),
                key,
            }),
            None => Ok(Self { path: path.to_owned(), table }),
        }
    }

    /// The value of a key, if it is one of its form.
    fn get<T>(&self, name: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let value = match name.split_once('.') {
            Some((section, key)) => self.table.get(section).and_then(|table| table.get(key)),
            None => self.table.get(name),
        };
        let Some(value) = value else {
            return Ok(None);
        };
        let expected = keys::find(name).map_or("left out", |key| key.form.expected());
        let fits = keys::find(name).is_some_and(|key| key.form.fits(value));
        let bad = || Error::BadSetting {
            origin: self.path.display().to_string(),
            key: name.to_owned(),
            expected,
        };
        fits.then(|| read(value)).flatten().map(Some).ok_or_else(bad)
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key, |value| value.as_str().map(str::to_owned))
    }

    fn texts(&self, key: &str) -> Result<Vec<String>> {
        let read = |value: &Value| {
            let texts = value.as_array()?.iter().map(|item| item.as_str().map(str::to_owned));
            texts.collect::<Option<Vec<_>>>()
        };
        Ok(self.get(key, read)?.unwrap_or_default())
    }

    fn channels(&self) -> Result<Vec<Channel>> {
        let sections = self.get("notify", |value| value.as_array().cloned())?.unwrap_or_default();
        let bad = |reason: String| Error::BadConfig { path: self.path.clone(), message: reason };
        let channel = |section: Value| {
            let written: Written =
                section.try_into().map_err(|error: toml::de::Error| bad(error.to_string()))?;
            let mut channel = written.channel().map_err(bad)?;
            channel.place(|path| expand(&path.display().to_string()).into());
            Ok(channel)
        };
        let channels: Vec<Channel> = sections.into_iter().map(channel).collect::<Result<_>>()?;
        let mut names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(bad(format!("two channels are called `{}`", pair[0]))),
            None => Ok(channels),
        }
    }

    fn web(&self) -> Result<Web> {
        let path = |key| Ok::<_, Error>(self.text(key)?.map(|text| expand(&text).into()));
        let web = Web {
            listen: self.text("http.listen")?,
            tls_cert: path("http.tls-cert")?,
            tls_key: path("http.tls-key")?,
            hosts: self.texts("http.hosts")?,
            metrics_open: self.flag("http.metrics-open")?.unwrap_or(false),
            plain: self.flag("http.plain")?.unwrap_or(false),
        };
        let bad = |error: nodekeep_http::settings::SettingsError| Error::BadConfig {
            path: self.path.clone(),
            message: error.to_string(),
        };
        web.terms().map_err(bad)?;
        Ok(web)
    }

    fn flag(&self, key: &str) -> Result<Option<bool>> {
        self.get(key, Value::as_bool)
    }

    fn rate(&self, key: &str) -> Result<Option<std::num::NonZeroUsize>> {
        self.get(key, |value| parse_rate(value.as_str()?).ok())
    }

    fn number(&self, key: &str) -> Result<Option<usize>> {
        self.get(key, |value| parse_threads(&value.as_integer()?.to_string()))
    }
}

/// The keys that a file sets: those of a section as `section.key`.
fn written(table: &Table) -> Vec<String> {
    let of = |(name, value): (&String, &Value)| match value {
        Value::Table(section) if keys::has_section(name) => {
            section.keys().map(|key| format!("{name}.{key}")).collect()
        }
        _ => vec![name.clone()],
    };
    table.iter().flat_map(of).collect()
}

/// The known word that is spelled most like `word`, if any is near.
pub fn nearest(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let word = word.replace('_', "-").to_lowercase();
    let best = known.iter().map(|known| (distance(&word, known), *known)).min()?;
    (best.0 <= 2).then_some(best.1)
}

/// How many letters must be added, removed or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Settings> {
        let file = ConfigFile::parse(Path::new("config.toml"), text)?;
        let mut settings = Settings::default();
        settings.apply_file(&file).map(|()| settings)
    }

    #[test]
    fn a_file_sets_what_it_names() {
        let settings =
            parse("repo = '/srv/b'\nexclude = ['*.tmp']\nthreads = 3\none-file-system = true\n[http]\nlisten = 'off'")
                .unwrap();
        assert_eq!(settings.http.listen.as_deref(), Some("off"));
        assert_eq!(settings.repo.as_deref(), Some("/srv/b"));
        assert_eq!(settings.exclude, ["*.tmp"]);
        assert_eq!((settings.threads, settings.one_file_system), (Some(3), true));
    }

    #[test]
    fn mistakes_are_named() {
        let cases = [
            ("repos = 'x'", "unknown key `repos`"),
            ("threads = 0", "`threads` must be a number from 1 to 256"),
            ("exclude = '*.tmp'", "`exclude` must be a list"),
            ("repo = ", "config.toml: TOML parse error"),
            ("limit-upload = '10 furlongs'", "`limit-upload` must be bytes per second"),
            ("targets = { rpo = '1 h' }", "`1 h` is no span of time"),
            ("[targets]\nrop = '1h'", "unknown field `rop`"),
            ("[nodes]\nguts = 'x'", "guts"),
            ("capacity = 5", "`capacity` must be bytes in quotes"),
            ("s3-endpiont = 'x'", "unknown key `s3-endpiont`"),
            ("[http]\nlisten = 7717", "`http.listen` must be a text"),
            ("[http]\nlisten = '0.0.0.0:80'", "there is no TLS"),
            ("[http]\nlissten = 'off'", "unknown key `http.lissten`"),
            ("[htttp]\nlisten = 'off'", "unknown key `htttp`"),
            ("http = 'off'", "unknown key `http`"),
        ];
        for (text, expected) in cases {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn targets_are_of_all_nodes_or_of_one() {
        let settings = parse("capacity = '2TB'\n[targets]\nrpo = '1h'\n[nodes.guts]\nrto = '10m'");
        let settings = settings.unwrap();
        let secs = |node: &str| {
            let wanted = settings.targets.of(node);
            (wanted.rpo.map(|s| s.secs()), wanted.rto.map(|s| s.secs()))
        };
        assert_eq!(secs("guts"), (Some(3600), Some(600)));
        assert_eq!(secs("relay"), (Some(3600), None));
        assert_eq!(settings.capacity, Some(2_000_000_000_000));
    }

    #[test]
    fn suggestions_are_near() {
        for (word, expected) in
            [("repos", Some("repo")), ("one_file_system", Some("one-file-system")), ("zzz", None)]
        {
            assert_eq!(nearest(word, &keys::names()), expected);
        }
    }
}
