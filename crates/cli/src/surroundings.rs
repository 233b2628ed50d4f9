//! What the system and the environment give a process, looked at before any library stumbles over it.

use std::fs;
use std::thread::available_parallelism;

/// Variables that say with how many threads a library works.
const THREADS: [&str; 4] = ["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"];

/// More threads than this start slower than they work, wherever there are not as many cores.
const MOST_THREADS: usize = 256;

/// What a small network takes beside the libraries, in bytes.
const LEAST_MEMORY: u64 = 768 << 20;

/// Fails, with one line, where the work would end in a library's abort or in no time at all.
pub(crate) fn check() -> Result<(), String> {
    let cores = available_parallelism().map_or(1, usize::from);
    for name in THREADS {
        let value = std::env::var_os(name).unwrap_or_default();
        check_threads(name, &value.to_string_lossy(), MOST_THREADS.max(4 * cores))?;
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    match (address_space(&limits), mapped(&statm)) {
        (Some(limit), Some(mapped)) => check_memory(limit, mapped),
        // No such limit, or a system that does not say.
        _ => Ok(()),
    }
}

/// A number of threads; OpenMP takes a list, one for each level. 0 and nothing leave the choice to the library.
fn check_threads(name: &str, value: &str, most: usize) -> Result<(), String> {
    let valid = |part: &str| part.trim().parse().is_ok_and(|threads: usize| threads <= most);
    if value.is_empty() || value.split(',').all(valid) {
        return Ok(());
    }
    Err(format!(
        "the environment sets {name} to `{value}`, expected a number of threads, 1 to {most}: change or unset it"
    ))
}

fn check_memory(limit: u64, mapped: u64) -> Result<(), String> {
    let needed = mapped.saturating_add(LEAST_MEMORY);
    if limit >= needed {
        return Ok(());
    }
    Err(format!(
        "not enough memory: the address space is limited to {} MB (ulimit -v), expected at least {} MB, of which the \
         program's libraries take {} MB",
        limit >> 20,
        needed >> 20,
        mapped >> 20
    ))
}

/// The soft limit of the address space in bytes, out of `/proc/self/limits`; `None` where there is none.
fn address_space(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes of address space in use, out of `/proc/self/statm`, which counts pages of 4 KiB or more.
fn mapped(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_whitespace().next()?.parse().ok()?;
    pages.checked_mul(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_are_small_numbers_or_lists_of_such() {
        for value in ["", "0", "1", "256", " 8 ", "4,2,1"] {
            assert_eq!(check_threads("OMP_NUM_THREADS", value, 256), Ok(()));
        }
        for value in ["257", "4000", "-1", "many", "4;2", "99999999999999999999999", "2,"] {
            let message = check_threads("RAYON_NUM_THREADS", value, 256).unwrap_err();
            assert_eq!(
                message,
                format!(
                    "the environment sets RAYON_NUM_THREADS to `{value}`, expected a number of threads, 1 to 256: change or unset it"
                )
            );
        }
    }

    #[test]
    fn the_limit_is_read_from_the_kernels_table() {
        let table = "Limit                     Soft Limit           Hard Limit           Units     \n\
                     Max data size             unlimited            unlimited            bytes     \n\
                     Max address space         512000000            unlimited            bytes     \n";
        assert_eq!(address_space(table), Some(512_000_000));
        assert_eq!(address_space(&table.replace("512000000", "unlimited")), None);
        assert_eq!(mapped("1000 20 30 4 0 50 0\n"), Some(4_096_000));
    }

    #[test]
    fn too_little_memory_is_said_in_megabytes() {
        let message = check_memory(500 << 20, 450 << 20).unwrap_err();
        assert!(message.contains("limited to 500 MB (ulimit -v), expected at least 1218 MB, of which"), "{message}");
        assert_eq!(check_memory(1218 << 20, 450 << 20), Ok(()));
    }
}
