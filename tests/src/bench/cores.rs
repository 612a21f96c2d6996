//! Which core does what, and what a process has used of it.

use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

use super::Failure;

/// The calling thread, in the kernel's terms.
const SELF: Pid = Pid::from_raw(0);

/// The load's core and the servers' core: two, or one where there is only one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cores {
    pub(super) load: usize,
    pub(super) servers: usize,
}

impl Cores {
    /// The first two cores that this process may use.
    pub(super) fn choose() -> Result<Self, Failure> {
        let allowed = sched_getaffinity(SELF)?;
        let mut cores = (0..CpuSet::count()).filter(|core| allowed.is_set(*core).unwrap_or(false));
        let load = cores.next().ok_or("this process may use no core")?;
        Ok(Self {
            load,
            servers: cores.next().unwrap_or(load),
        })
    }

    pub(super) fn are_shared(self) -> bool {
        self.load == self.servers
    }
}

/// Moves the calling thread, and what it starts from now on, to a core.
pub(super) fn pin(core: usize) -> Result<(), Failure> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(SELF, &set)?)
}

/// What a process has used so far, user and system, of all its threads, ended ones too. In nanoseconds, not ticks.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuClock(ClockId);

impl CpuClock {
    pub(super) fn of(process: u32) -> Result<Self, Failure> {
        Ok(Self(clock_getcpuclockid(Pid::from_raw(i32::try_from(
            process,
        )?))?))
    }

    pub(super) fn now(self) -> Result<Duration, Failure> {
        Ok(self.0.now()?.into())
    }
}
