//! How much of the machine the system gives this process, as Linux tells it in files.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

/// What this process may use. What the system does not say, as outside Linux, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// Processors of the machine that are switched on.
    pub online: Option<usize>,
    /// Processors that the process is bound to (`taskset`, batch systems).
    pub bound: Option<usize>,
    /// How many processors' time the control group gets (`docker --cpus`, batch systems); `None` if all.
    pub quota: Option<f64>,
    /// Threads that wanted a processor in the last minute, on average, of the whole machine.
    pub load: Option<f64>,
    /// Bytes of the machine's memory.
    pub memory: Option<u64>,
    /// Bytes of it that nobody uses, or that would be freed if they were wanted.
    pub memory_available: Option<u64>,
    /// Bytes of memory that the control group may take; `None` if all.
    pub memory_limit: Option<u64>,
}

impl Limits {
    /// Those of this process.
    pub fn here() -> Self {
        Self::of(Path::new("/"))
    }

    /// As the files below `system`, which stands for `/`, say.
    fn of(system: &Path) -> Self {
        let read = |name: &str| fs::read_to_string(system.join(name)).unwrap_or_default();
        let memory = read("proc/meminfo");
        let groups = Groups::of(system, &read("proc/self/cgroup"));
        Self {
            online: count(&read("sys/devices/system/cpu/online")),
            bound: after(&read("proc/self/status"), "Cpus_allowed_list:").and_then(count),
            quota: groups.quota(),
            load: first(&read("proc/loadavg")),
            memory: kibibytes(&memory, "MemTotal:"),
            memory_available: kibibytes(&memory, "MemAvailable:"),
            memory_limit: groups.memory_limit(),
        }
    }
}

/// The folders of this process's control groups and of those around them, the innermost first.
struct Groups {
    /// Of version 2, where one group limits everything.
    unified: Vec<PathBuf>,
    /// Of version 1, those that limit processors.
    processors: Vec<PathBuf>,
    /// Of version 1, those that limit memory.
    memory: Vec<PathBuf>,
}

impl Groups {
    /// From lines `number:controllers:path` (Linux, `cgroups(7)`).
    fn of(system: &Path, table: &str) -> Self {
        let mounts = system.join("sys/fs/cgroup");
        let found = |wanted: fn(&str) -> bool, mount: &str| {
            let mut fields = table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            let path = fields.find(|(controllers, _)| wanted(controllers)).map(|(_, path)| path);
            // A container has its own group mounted where the machine has the outermost one.
            let path = Path::new(path.unwrap_or("/"));
            let inner = path.ancestors().map(|group| group.strip_prefix("/").unwrap_or(group));
            inner.map(|group| mounts.join(mount).join(group)).collect()
        };
        Self {
            unified: found(str::is_empty, ""),
            processors: found(|list| list.split(',').any(|name| name == "cpu"), "cpu"),
            memory: found(|list| list.split(',').any(|name| name == "memory"), "memory"),
        }
    }

    /// The least share of processors that any group gets.
    fn quota(&self) -> Option<f64> {
        let read = |group: &PathBuf, name: &str| fs::read_to_string(group.join(name)).unwrap_or_default();
        let unified = self.unified.iter().filter_map(|group| share(&read(group, "cpu.max")));
        let older = self.processors.iter().filter_map(|group| {
            let times = format!("{} {}", read(group, "cpu.cfs_quota_us"), read(group, "cpu.cfs_period_us"));
            share(&times)
        });
        unified.chain(older).min_by(f64::total_cmp)
    }

    /// The least memory that any group may take.
    fn memory_limit(&self) -> Option<u64> {
        let read = |group: &PathBuf, name: &str| first(&fs::read_to_string(group.join(name)).unwrap_or_default());
        let unified = self.unified.iter().filter_map(|group| read(group, "memory.max"));
        let older = self.memory.iter().filter_map(|group| read(group, "memory.limit_in_bytes"));
        // Version 1 writes the largest number of pages for no limit.
        unified.chain(older).filter(|bytes| *bytes < 1 << 60).min()
    }
}

/// Processors' time of `QUOTA PERIOD` in microseconds; `None` without a limit, which is `max` or -1.
fn share(text: &str) -> Option<f64> {
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().ok());
    let (quota, period) = (numbers.next()??, numbers.next()??);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// How many numbers a list such as `0-3,8` names; `None` for a list of another form.
fn count(list: &str) -> Option<usize> {
    let parts = list.trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        Some(last.checked_sub(first)? + 1)
    });
    parts.sum()
}

/// The text that follows `name` on its line.
fn after<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// The first word, as a number.
fn first<N: FromStr>(text: &str) -> Option<N> {
    text.split_whitespace().next()?.parse().ok()
}

/// Bytes of a line `name 123 kB`.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    first::<u64>(after(text, name)?)?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits that a system with these files would give.
    fn limits(files: &[(&str, &str)]) -> Limits {
        let system = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = system.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Limits::of(system.path())
    }

    #[test]
    fn a_system_that_says_nothing_limits_nothing() {
        assert_eq!(limits(&[]), Limits::default());
    }

    #[test]
    fn processors_and_memory_are_read_from_the_kernels_tables() {
        let found = limits(&[
            ("sys/devices/system/cpu/online", "0-63\n"),
            ("proc/self/status", "Name:\tmp-train\nCpus_allowed:\tf0f\nCpus_allowed_list:\t0-3,8-11\n"),
            ("proc/loadavg", "12.50 3.00 1.00 2/345 6789\n"),
            ("proc/meminfo", "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    500 kB\n"),
        ]);
        let expected = Limits {
            online: Some(64),
            bound: Some(8),
            load: Some(12.5),
            memory: Some(1_024_000),
            memory_available: Some(512_000),
            ..Limits::default()
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn the_tightest_of_the_groups_around_a_process_counts() {
        let found = limits(&[
            ("proc/self/cgroup", "0::/batch/job\n"),
            ("sys/fs/cgroup/batch/job/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/batch/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/batch/job/memory.max", "4096\n"),
            ("sys/fs/cgroup/batch/memory.max", "max\n"),
        ]);
        assert_eq!((found.quota, found.memory_limit), (Some(2.5), Some(4096)));
    }

    #[test]
    fn groups_of_version_1_and_of_a_container_are_read_too() {
        let table = "5:cpu,cpuacct:/docker/abc\n3:memory:/docker/abc\n";
        let found = limits(&[
            ("proc/self/cgroup", table),
            // In the container, its group is at the root.
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        assert_eq!((found.quota, found.memory_limit), (Some(1.5), None));
        let free = limits(&[("proc/self/cgroup", table), ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")]);
        assert_eq!(free.quota, None);
    }

    #[test]
    fn lists_of_another_form_are_not_guessed_at() {
        assert_eq!(count("3"), Some(1));
        assert_eq!(count("0-1,4"), Some(3));
        for list in ["", "0-", "4-2", "all"] {
            assert_eq!(count(list), None, "{list}");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_may_use_as_much_as_the_standard_library_says() {
        let found = Limits::here();
        let quota = found.quota.map_or(usize::MAX, |quota| (quota as usize).max(1));
        assert_eq!(found.bound.unwrap().min(quota), crate::machine::processors());
        assert!(found.memory_available.unwrap() <= found.memory.unwrap());
    }
}
