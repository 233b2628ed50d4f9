//! Processors for processes of their own.

use std::mem::MaybeUninit;

/// Does `start`, which starts a process, while this thread is bound to the part of its processors that is due to process
/// `rank` of `world`; the process is then bound to it. Where there are fewer processors than processes, nothing is bound.
pub(crate) fn bound<T>(rank: usize, world: usize, start: impl FnOnce() -> T) -> T {
    let before = own();
    let part = share(&before, rank, world);
    if part.is_empty() {
        return start();
    }
    bind(&part);
    let started = start();
    bind(&before);
    started
}

/// As many processors for each, those beside each other.
fn share(all: &[usize], rank: usize, world: usize) -> Vec<usize> {
    let each = all.len() / world.max(1);
    all.iter().skip(rank * each).take(each).copied().collect()
}

/// The processors that this thread may use; none where the system does not say.
fn own() -> Vec<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: the system writes no more than the size that it is told; zeros are a set too.
    let set = unsafe {
        let asked = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr());
        if asked != 0 {
            return Vec::new();
        }
        set.assume_init()
    };
    // SAFETY: every number is below the size of the set.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

fn bind(processors: &[usize]) {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: zeros are an empty set; numbers come from a set of that size.
    unsafe {
        for cpu in processors {
            libc::CPU_SET(*cpu, set.assume_init_mut());
        }
        // Where the system refuses, the process is not bound, and works all the same.
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_overlap() {
        let all = [0, 2, 4, 6, 8];
        assert_eq!([0, 1].map(|rank| share(&all, rank, 2)), [vec![0, 2], vec![4, 6]]);
        assert!(share(&all, 0, 6).is_empty());
    }

    #[test]
    fn a_thread_gets_its_processors_back() {
        let before = own();
        let inside = bound(0, before.len(), own);
        assert_eq!((inside, own()), (before[..1].to_vec(), before));
    }
}
