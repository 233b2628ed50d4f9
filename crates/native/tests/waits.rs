//! Short waits are asked for by threads that sleep, and end with them.
#![cfg(target_os = "linux")]

use mp_native::ShortWaits;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn short_waits_last_as_long_as_their_guard_and_can_be_had_again() {
    // One team for each number of threads that libtorch may use: together one more than there are processors.
    let processors = std::thread::available_parallelism().unwrap().get();
    let before = threads();
    for used in (1..=processors).rev().take(4) {
        let waits = ShortWaits::begin(used).expect("GNU's OpenMP, which libtorch has on Linux");
        // The thread that holds the team, and the others of the team.
        assert!(threads() - before > processors - used + 1, "{used} of {processors}: {} threads", threads() - before);
        drop(waits);
        // The holder is joined; the system may still be taking the others away.
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(2));
            threads() <= before
        });
        assert!(gone, "{} threads are left", threads() - before);
    }
}
