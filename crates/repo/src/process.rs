//! Which process runs a session, and whether it is gone: so that a crash does not hold up collections on its own host.
//!
//! A host tag is half machine, half boot, both keyed, so that others learn nothing from it. Where anything is in doubt, the process counts as alive.

use std::fs;

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::control::Process;
use crate::crypto::keyed;
use crate::keys::DomainKeys;

const HALF: usize = 16;

/// This process.
pub fn this(domain: &DomainKeys) -> Process {
    #[cfg(feature = "simulate")]
    if crate::simulate::is_on() {
        return Process { host: [0; 2 * HALF], pid: 0, started: 0 };
    }
    let pid = u64::from(std::process::id());
    Process { host: host_tag(domain), pid, started: start_of(pid).unwrap_or(0) }
}

/// Whether a process surely runs no more: it was one of this machine, and of an earlier boot, or its id is free or another's now.
pub fn is_gone(process: &Process, domain: &DomainKeys) -> bool {
    #[cfg(feature = "simulate")]
    if crate::simulate::is_on() {
        return false;
    }
    let here = host_tag(domain);
    if process.host[..HALF] != here[..HALF] || here == [0; 2 * HALF] {
        return false;
    }
    process.host[HALF..] != here[HALF..] || !runs(process)
}

/// Whether a process was started on this machine, in this boot or an earlier one.
pub fn is_of_this_machine(process: &Process, domain: &DomainKeys) -> bool {
    let here = host_tag(domain);
    process.host[..HALF] == here[..HALF] && here != [0; 2 * HALF]
}

fn runs(process: &Process) -> bool {
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    if test_kill_process(pid) == Err(Errno::SRCH) {
        return false;
    }
    // Unreadable where processes of others are hidden: then it may be the one.
    process.started == 0 || start_of(process.pid).is_none_or(|started| started == process.started)
}

/// Start of a process in ticks since boot: field 22 of its `stat`, counted behind the name, which may hold anything.
fn start_of(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}

/// Zeros where the system does not say who it is: then no process is ever known to be gone.
fn host_tag(domain: &DomainKeys) -> [u8; 2 * HALF] {
    host_parts().map_or([0; 2 * HALF], |(machine, boot)| {
        let mut tag = [0; 2 * HALF];
        tag[..HALF].copy_from_slice(&keyed(&domain.labels, &machine)[..HALF]);
        tag[HALF..].copy_from_slice(&keyed(&domain.labels, &boot)[..HALF]);
        tag
    })
}

/// The machine by its id and its name, for cloned machines share ids; the boot with the namespace that process ids count in.
fn host_parts() -> Option<(Vec<u8>, Vec<u8>)> {
    let machine = fs::read("/etc/machine-id").unwrap_or_default();
    let name = rustix::system::uname().nodename().to_bytes().to_vec();
    let boot = fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    let namespace = namespace.to_string_lossy().into_owned().into_bytes();
    Some((
        [b"machine".as_slice(), &machine, &name].concat(),
        [b"boot".as_slice(), &boot, &namespace].concat(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Secret;
    use crate::id::DomainId;

    #[test]
    fn only_processes_of_this_machine_are_known_to_be_gone() {
        let domain = DomainKeys::new(DomainId([7; 16]), Secret([7; 32]));
        let this = this(&domain);
        let reused = Process { started: this.started + 1, ..this };
        let mut earlier_boot = this;
        earlier_boot.host[31] ^= 1;
        let mut elsewhere = reused;
        elsewhere.host[0] ^= 1;
        let free = Process { pid: u64::from(u32::MAX), ..this };
        let cases =
            [(this, false), (reused, true), (earlier_boot, true), (elsewhere, false), (free, true)];
        for (process, gone) in cases {
            assert_eq!(is_gone(&process, &domain), gone, "{process:?}");
        }
    }
}
