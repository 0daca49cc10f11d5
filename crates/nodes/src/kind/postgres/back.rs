//! A dump that goes back: into an empty database, all of it or nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tools::Tool;
use super::{connection, dump_name};
use crate::error::{Error, Result};
use crate::kind::back::{GiveBack, Returned, WayBack};
use crate::kind::{Outcome, Verified};
use crate::profile::{PostgresMethod, PostgresRule, fill};

/// Tables, views and sequences of people: neither the system's own nor those of extensions, which a dump does not contain.
const OBJECTS: &str = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' \
AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";

/// Tables whose rows a dump may hold: those of people, and of extensions.
const TABLES: &str = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";

/// What a question may take.
const ASK: Duration = Duration::from_secs(60);

pub(in crate::kind) fn way_back(rule: &PostgresRule) -> WayBack {
    match rule.method {
        PostgresMethod::Base => WayBack::Files,
        PostgresMethod::Dump => WayBack::through(rule.restore_while),
    }
}

/// The programs are there, the dump can be read, the server answers, and the database is empty.
pub(in crate::kind) fn can_take(back: &GiveBack<'_>, rule: &PostgresRule) -> Result<()> {
    Database::of(back, rule)?;
    Ok(())
}

/// `pg_restore` in one transaction: a failure leaves the database as empty as it was.
pub(in crate::kind) fn give_back(back: &GiveBack<'_>, rule: &PostgresRule) -> Result<Returned> {
    let database = Database::of(back, rule)?;
    let file = database.file.display().to_string();
    let mut arguments = vec!["--single-transaction", "--exit-on-error", "-w"];
    // An empty name is refused by pg_restore; what it stands for, the server's default, is not.
    let name = if database.connection.is_empty() { "dbname=" } else { &database.connection };
    arguments.extend(["-d", name, &file]);
    database.restore.program(&arguments, back.patience).run()?;
    Ok(Returned::said(format!("restored by {}", database.restore.version)))
}

/// As many tables as the dump names.
pub(in crate::kind) fn compare(back: &GiveBack<'_>, rule: &PostgresRule) -> Result<Verified> {
    let connection = fill(&rule.connection, back.variables)?;
    let mut verified = Verified::default();
    super::verify_dump(&dump_in(back.copy, &connection)?, back.patience, &mut verified)?;
    let expected = verified.position.counters.get("tables").copied().unwrap_or(0);
    let found = ask(&connection, TABLES, back.copy)?;
    // Extensions have tables of their own, whose rows are not in a dump.
    let outcome = if found >= expected { Outcome::Passed } else { Outcome::Failed };
    let detail = format!("{found} in the database, {expected} in the dump");
    let mut compared = Verified::default();
    compared.check("tables", outcome, detail);
    Ok(compared)
}

/// A database that can take a dump.
struct Database {
    connection: String,
    file: PathBuf,
    restore: Tool,
}

impl Database {
    fn of(back: &GiveBack<'_>, rule: &PostgresRule) -> Result<Self> {
        let connection = fill(&rule.connection, back.variables)?;
        connection::refuse_password(&connection, back.path)?;
        let file = dump_in(back.copy, &connection)?;
        let restore = Tool::newest("pg_restore", back.copy)?;
        let objects = ask(&connection, OBJECTS, back.copy)?;
        if objects > 0 {
            let name = connection::database(&connection).unwrap_or_else(|| "DATABASE".to_owned());
            let reason = format!(
                "the database `{name}` is not empty ({objects} tables, views and sequences), and a dump goes into an empty one: stop what uses it, rename it (ALTER DATABASE \"{name}\" RENAME TO \"{name}_before\"), make an empty one with the same owner, encoding and locale (createdb), and restore again"
            );
            return Err(Error::Unsupported { path: back.path.to_owned(), reason });
        }
        Ok(Self { connection, file, restore })
    }
}

/// A number that a query gives.
fn ask(connection: &str, query: &str, asked_for: &Path) -> Result<u64> {
    let tool = Tool::newest("psql", asked_for)?;
    let mut words = vec!["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"];
    if !connection.is_empty() {
        words.extend(["-d", connection]);
    }
    words.extend(["-c", query]);
    let done = tool.program(&words, ASK).run()?;
    let text = String::from_utf8_lossy(&done.stdout);
    text.trim().parse().map_err(|_| Error::Damaged {
        path: asked_for.to_owned(),
        reason: format!("psql answered `{}` where a number was asked for", text.trim()),
    })
}

/// The dump in a restored folder: that of the connection's database, or the only one.
fn dump_in(folder: &Path, connection: &str) -> Result<PathBuf> {
    let named = folder.join(dump_name(connection));
    if named.is_file() {
        return Ok(named);
    }
    let mut dumps = super::dumps_in(folder)?;
    match (dumps.pop(), dumps.is_empty()) {
        (Some(only), true) => Ok(only),
        (last, _) => {
            let reason = match last {
                None => "there is no dump in the folder".to_owned(),
                Some(_) => format!("none of its dumps is {}", dump_name(connection)),
            };
            Err(Error::Unsupported { path: folder.to_owned(), reason })
        }
    }
}
