//! The allocator's treatment of freed memory.

unsafe extern "C" {
    fn mp_keep_freed_memory() -> bool;
}

/// Makes the C allocator keep what is freed, for the whole process; returns whether it took the advice (glibc does, other
/// allocators are left as they are).
///
/// A training step frees and takes the same maps again and again, some megabytes each. glibc gives such blocks back to the
/// system and gets new ones, page by page: a quarter of a `resnet20` step in bfloat16. The price is that a process stays
/// as large as it once was. A program calls this first thing; a library should leave the choice to it.
pub fn keep_freed_memory() -> bool {
    // SAFETY: sets parameters of the allocator, which may be done at any time; no pointers are involved.
    unsafe { mp_keep_freed_memory() }
}

#[cfg(test)]
mod tests {
    #[test]
    fn glibc_takes_the_advice() {
        assert_eq!(super::keep_freed_memory(), cfg!(target_env = "gnu"));
    }
}
