//! Processor time of processes, from the kernel's own clocks of them: nanoseconds, and only what ran, so a noisy
//! neighbour on the machine costs little here.

use std::time::Duration;

use anyhow::Context as _;
use nix::time::ClockId;
use nix::unistd::Pid;

/// Linux tells times in /proc in hundredths of a second, whatever the kernel itself counts in (proc(5), `USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

/// Of this process, all its threads.
pub(crate) fn own() -> anyhow::Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// Of a process, all its threads.
pub(crate) fn of_process(pid: u32) -> anyhow::Result<Duration> {
    let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(i32::try_from(pid)?));
    Ok(clock.and_then(ClockId::now).with_context(|| format!("the clock of process {pid}"))?.into())
}

/// Of a PostgreSQL server: the postmaster, its children, and the children that have ended. The latter are known to a
/// hundredth of a second; a connection that stays open through the measurement is not among them.
pub(crate) fn of_server(postmaster: u32) -> anyhow::Result<Duration> {
    let mut total = of_process(postmaster)?;
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Whoever ends while we look is counted as ended, below.
        let is_child = Stat::read(pid).is_ok_and(|stat| stat.parent == postmaster);
        if is_child {
            total += of_process(pid).unwrap_or_default();
        }
    }
    Ok(total + Stat::read(postmaster)?.reaped)
}

struct Stat {
    parent: u32,
    /// Processor time of children that were waited for.
    reaped: Duration,
}

impl Stat {
    fn read(pid: u32) -> anyhow::Result<Self> {
        Self::parse(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?).context("/proc/…/stat")
    }

    /// `pid (name) state parent …`; `cutime` and `cstime` are the 16th and 17th field. A name may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = |at: usize| fields.get(at)?.parse::<u32>().ok();
        Some(Self { parent: ticks(1)?, reaped: TICK * (ticks(13)? + ticks(14)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_with_an_odd_name_is_read() {
        let stat = Stat::parse("7 (a) b ) S 3 7 7 0 -1 64 1 2 3 4 50 60 200 34 20 0 1").unwrap();
        assert_eq!((stat.parent, stat.reaped), (3, Duration::from_millis(2_340)));
    }
}
