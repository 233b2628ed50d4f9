//! What a loader allocates once it runs: nothing, whatever the number of images. Alone in its file, since it counts the
//! allocations of the whole process.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mp_data::{Dataset, Loader, LoaderConfig, open};

/// Counts, and leaves the work to the system.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations and bytes while `work` runs.
fn allocated(work: impl FnOnce()) -> (usize, usize) {
    let before = (CALLS.load(Ordering::SeqCst), BYTES.load(Ordering::SeqCst));
    work();
    (CALLS.load(Ordering::SeqCst) - before.0, BYTES.load(Ordering::SeqCst) - before.1)
}

fn pass(loader: &Loader, epoch: u64, steady: impl FnOnce(&mut dyn FnMut())) {
    let mut batches = loader.epoch(epoch, 0);
    let mut step = || {
        let batch = batches.next().expect("more batches").expect("whole images");
        batches.recycle(batch);
    };
    steady(&mut step);
}

#[test]
fn a_running_loader_allocates_next_to_nothing() {
    let digits: Arc<dyn Dataset> = open("digits", Path::new("no cache")).expect("embedded").train;
    for threads in [1, 2] {
        // 1437 images in 89 whole batches.
        let config = LoaderConfig { batch_size: 16, drop_last: true, threads, ..LoaderConfig::default() };
        let loader = Loader::new(Arc::clone(&digits), config).expect("settings that fit");
        pass(&loader, 0, |step| (0..89).for_each(|_| step()));

        // Rayon takes a block for every 64 pieces of work that come from outside.
        pass(&loader, 1, |step| {
            (0..4).for_each(|_| step());
            let (calls, bytes) = allocated(|| (0..80).for_each(|_| step()));
            assert!(calls <= 8 && bytes <= 16 << 10, "{threads} threads: {calls} allocations, {bytes} bytes");
        });
        // A new epoch: its order (8 bytes an image), a thread, a queue; no batch.
        let (calls, bytes) = allocated(|| pass(&loader, 2, |step| (0..89).for_each(|_| step())));
        assert!(calls <= 60 && bytes <= 8 * 1437 + (32 << 10), "{threads} threads: {calls} allocations, {bytes} bytes");
    }
}
