//! Snapshots of logical volumes and ZFS datasets: the commands, and where in the snapshot a live path lies.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::HoldError;
use super::step::{Action, Proof, Step};
use crate::command::Program;
use crate::error::Error;

/// How long a tool of the system may take.
const TOOL: Duration = Duration::from_secs(120);
/// What is mounted, as the system shows it.
const MOUNTS: &str = "/proc/self/mountinfo";

/// What is mounted where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts {
    mounts: Vec<Mount>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    /// Which part of the file system is shown: `/` for all of it.
    root: PathBuf,
    point: PathBuf,
    kind: String,
    source: String,
}

/// Where in a snapshot a live path lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Where the volume is mounted.
    live: PathBuf,
    /// What lies there, in the snapshot.
    snapshot: PathBuf,
    /// Other file systems mounted below: they are not in the snapshot.
    foreign: Vec<PathBuf>,
}

/// The names of a snapshot's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    /// As the profile names it.
    pub volume: &'a str,
    /// The snapshot's own name.
    pub tag: &'a str,
    /// Where tools are looked for before the search path.
    pub tools: &'a [PathBuf],
}

impl Mounts {
    /// What is mounted now.
    ///
    /// # Errors
    /// If the system does not say.
    pub fn here() -> Result<Self, HoldError> {
        let text = fs::read_to_string(MOUNTS).map_err(Error::file(MOUNTS, "cannot be read"))?;
        Ok(Self::parse(&text))
    }

    /// Reads the text of `/proc/self/mountinfo`; lines that are none are passed over.
    pub fn parse(text: &str) -> Self {
        Self { mounts: text.lines().filter_map(parse_line).collect() }
    }

    /// Whether something is mounted at exactly this folder.
    pub(super) fn is_point(&self, folder: &Path) -> bool {
        self.mounts.iter().any(|mount| mount.point == folder)
    }

    /// Where a device or dataset is mounted, with all of it shown if it is mounted so anywhere.
    fn of(&self, sources: &[String]) -> Option<&Mount> {
        let mut found = self.mounts.iter().filter(|mount| sources.contains(&mount.source));
        let first = found.next()?;
        let whole = |mount: &&Mount| mount.root == Path::new("/");
        Some(std::iter::once(first).chain(found).find(whole).unwrap_or(first))
    }

    fn mapping(&self, mount: &Mount, snapshot: &Path) -> Mapping {
        let live = mount.point.clone();
        let below = |other: &&Mount| other.point != live && other.point.starts_with(&live);
        let foreign = self.mounts.iter().filter(below).map(|other| other.point.clone()).collect();
        let root = mount.root.strip_prefix("/").unwrap_or(&mount.root);
        Mapping { snapshot: snapshot.join(root), live, foreign }
    }
}

impl Mapping {
    /// Where a live path lies in the snapshot; `None` if it is not in it.
    pub fn snapshot_of(&self, path: &Path) -> Option<PathBuf> {
        // The path that a profile names may lead over links to the volume.
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let inner = real.strip_prefix(&self.live).ok()?;
        let is_foreign = self.foreign.iter().any(|point| real.starts_with(point));
        (!is_foreign).then(|| self.snapshot.join(inner))
    }

    /// File systems mounted below the volume that are not in the snapshot.
    pub fn foreign(&self) -> &[PathBuf] {
        &self.foreign
    }

    /// Where the volume is mounted, and what lies there in the snapshot.
    pub fn folders(&self) -> (&Path, &Path) {
        (&self.live, &self.snapshot)
    }
}

/// The steps for a logical volume `group/volume`, mounted at `point`.
pub(super) fn lvm(
    names: Names<'_>,
    size: Option<&str>,
    point: &Path,
    mounts: &Mounts,
) -> Result<(Vec<Step>, Mapping), HoldError> {
    let (group, volume) = names.volume.split_once('/').ok_or_else(|| names.not_mounted())?;
    let sources = [
        format!("/dev/mapper/{}-{}", escaped(group), escaped(volume)),
        format!("/dev/{}", names.volume),
    ];
    let mount = mounts.of(&sources).ok_or_else(|| names.not_mounted())?;
    let snapshot = format!("{group}/{}", names.tag);
    let device = format!("/dev/{snapshot}");
    // A thin volume takes no size, and its snapshots are not activated unless that is asked for.
    let room = size.map_or_else(|| vec!["-kn"], |size| vec!["-L", size]);
    let make = [&["-s", "-n", names.tag][..], &room, &[names.volume]].concat();
    let list = ["--noheadings", "-o", "lv_name", group];
    let take = Action::Thing {
        make: names.tool("lvcreate", &make),
        remove: names.tool("lvremove", &["-f", &snapshot]),
        proof: Proof::Listed { list: names.tool("lvs", &list), line: names.tag.to_owned() },
    };
    // XFS refuses to mount a second file system with the same identity.
    let options = if mount.kind == "xfs" { "ro,nouuid" } else { "ro" };
    let folder = point.display().to_string();
    let show = Action::Thing {
        make: names.tool("mount", &["-o", options, &device, &folder]),
        remove: names.tool("umount", &[&folder]),
        proof: Proof::Mounted(point.to_path_buf()),
    };
    let about = format!("take a snapshot of logical volume {}", names.volume);
    let steps = vec![step(about, take), step("mount it read-only".to_owned(), show)];
    Ok((steps, mounts.mapping(mount, point)))
}

/// The steps for a dataset: its snapshots can be read below its own mount point.
pub(super) fn zfs(names: Names<'_>, mounts: &Mounts) -> Result<(Vec<Step>, Mapping), HoldError> {
    let sources = [names.volume.to_owned()];
    let mount = mounts.of(&sources).filter(|mount| mount.kind == "zfs");
    let mount = mount.ok_or_else(|| names.not_mounted())?;
    let snapshot = format!("{}@{}", names.volume, names.tag);
    let list = ["list", "-H", "-t", "snapshot", "-o", "name", "-d", "1", names.volume];
    let take = Action::Thing {
        make: names.tool("zfs", &["snapshot", &snapshot]),
        remove: names.tool("zfs", &["destroy", &snapshot]),
        proof: Proof::Listed { list: names.tool("zfs", &list), line: snapshot.clone() },
    };
    let about = format!("take a snapshot of dataset {}", names.volume);
    let inside = mount.point.join(".zfs/snapshot").join(names.tag);
    Ok((vec![step(about, take)], mounts.mapping(mount, &inside)))
}

impl Names<'_> {
    fn not_mounted(&self) -> HoldError {
        HoldError::NotMounted { volume: self.volume.to_owned() }
    }

    /// A tool of the system, which services often have not on their search path.
    fn tool(&self, name: &str, arguments: &[&str]) -> Program {
        let found = self.tools.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
        let name = found.map_or_else(|| name.to_owned(), |path| path.display().to_string());
        let arguments = arguments.iter().map(|word| (*word).to_owned());
        let argv = std::iter::once(name).chain(arguments).collect();
        Program { patience: TOOL, ..Program::new(argv) }
    }
}

fn step(about: String, action: Action) -> Step {
    Step { about, action, is_brief: false }
}

/// The device mapper doubles the dashes of names and puts one between them.
fn escaped(name: &str) -> String {
    name.replace('-', "--")
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext4 /dev/sda1 rw`.
fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let right: Vec<&str> = right.split(' ').collect();
    Some(Mount {
        root: unescaped(left.get(3)?),
        point: unescaped(left.get(4)?),
        kind: (*right.first()?).to_owned(),
        source: unescaped(right.get(1)?).to_string_lossy().into_owned(),
    })
}

/// White space stands there as a backslash and three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|_| *first == b'\\');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
40 22 254:3 / /srv/guts\\040data rw shared:1 - xfs /dev/mapper/vg0-guts--data rw
41 40 8:2 / /srv/guts\\040data/logs rw - ext4 /dev/sdb1 rw
42 22 0:50 / /tank/guts rw - zfs tank/guts rw
43 22 254:3 /sub /srv/bound rw - xfs /dev/mapper/vg0-guts--data rw
";

    fn names(volume: &str) -> Names<'_> {
        Names { volume, tag: "nodekeep-1", tools: &[] }
    }

    #[test]
    fn a_logical_volume_is_found_and_mapped() {
        let mounts = Mounts::parse(INFO);
        let point = Path::new("/mnt/snap");
        let (steps, mapping) = lvm(names("vg0/guts-data"), Some("10G"), point, &mounts).unwrap();
        let shown: Vec<String> = steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "take a snapshot of logical volume vg0/guts-data\n    lvcreate -s -n nodekeep-1 -L 10G vg0/guts-data\n    afterwards: lvremove -f vg0/nodekeep-1",
                "mount it read-only\n    mount -o ro,nouuid /dev/vg0/nodekeep-1 /mnt/snap\n    afterwards: umount /mnt/snap",
            ]
        );
        let cases = [
            ("/srv/guts data/db/LOCK", Some("/mnt/snap/db/LOCK")),
            ("/srv/guts data", Some("/mnt/snap/")),
            ("/srv/guts data/logs/a", None),
            ("/etc/guts", None),
        ];
        for (live, expected) in cases {
            let expected = expected.map(PathBuf::from);
            assert_eq!(mapping.snapshot_of(Path::new(live)), expected, "{live}");
        }
    }

    #[test]
    fn a_dataset_is_read_below_its_mount_point() {
        let (steps, mapping) = zfs(names("tank/guts"), &Mounts::parse(INFO)).unwrap();
        assert_eq!(steps.len(), 1);
        assert_eq!(steps[0].by_hand(&[]), "zfs destroy tank/guts@nodekeep-1");
        let inside = PathBuf::from("/tank/guts/.zfs/snapshot/nodekeep-1/db");
        assert_eq!(mapping.snapshot_of(Path::new("/tank/guts/db")), Some(inside));
    }

    #[test]
    fn what_is_not_mounted_is_named() {
        let mounts = Mounts::parse(INFO);
        for volume in ["vg0/other", "nogroup"] {
            let error = lvm(names(volume), None, Path::new("/m"), &mounts).unwrap_err();
            assert!(error.to_string().contains(volume), "{error}");
        }
        assert!(zfs(names("tank"), &mounts).is_err());
    }
}
