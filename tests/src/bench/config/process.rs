//! What a process has of memory, in bytes, as the kernel counts it.

use crate::bench::Failure;

/// Resident, now.
pub(super) fn resident(process: u32) -> Result<u64, Failure> {
    status(process, "VmRSS:")
}

/// The most that was resident since the last [`forget_peak`].
pub(super) fn peak(process: u32) -> Result<u64, Failure> {
    status(process, "VmHWM:")
}

/// The peak is what it is now.
pub(super) fn forget_peak(process: u32) -> Result<(), Failure> {
    Ok(std::fs::write(format!("/proc/{process}/clear_refs"), "5")?)
}

fn status(process: u32, line: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let found = status.lines().find_map(|one| one.strip_prefix(line));
    let kibibytes = found.and_then(|rest| rest.split_whitespace().next());
    let kibibytes: u64 = kibibytes.ok_or(format!("no {line}"))?.parse()?;
    Ok(kibibytes * 1024)
}
