//! Says on what the figures were measured.

use std::fs;
use std::path::Path;
use std::thread;

use crate::error::Error;
use crate::place;

/// One paragraph: processor, memory, kernel, filesystem, load.
pub fn describe(dir: &Path) -> Result<String, Error> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = first_line("/proc/sys/kernel/osrelease");
    let load = first_line("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "Machine: {cores} cores ({}), {} of memory, Linux {kernel}, {}, load {load} at the start.\n",
        field("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        field("/proc/meminfo", "MemTotal").as_deref().and_then(gigabytes).unwrap_or_default(),
        filesystem(dir)?,
    ))
}

fn first_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    let (_, value) = line.split_once(':')?;
    Some(value.trim().to_owned())
}

fn gigabytes(kilobytes: &str) -> Option<String> {
    let number: f64 = kilobytes.split(' ').next()?.parse().ok()?;
    Some(format!("{:.0} GB", number * 1024.0 / 1e9))
}

/// The kind of filesystem, from the longest mount point that holds the folder.
fn filesystem(dir: &Path) -> Result<String, Error> {
    let mounts = place::read(Path::new("/proc/self/mounts"))?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let holding = fields.filter(|fields| fields.len() > 2 && dir.starts_with(fields[1]));
    let nearest = holding.max_by_key(|fields| fields[1].len());
    Ok(nearest.map_or("an unknown filesystem".to_owned(), |fields| fields[2].to_owned()))
}
