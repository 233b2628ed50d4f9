//! The loader's promises: the same pixels whatever the threads, exact resumption, prompt stops, honest errors.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mp_data::{
    Batch, Cutout, Dataset, Error, Flip, Image, ImageShape, ImageView, Loader, LoaderConfig, PadCrop, PadMode,
    Pipeline, Scratch, Transform, open,
};

fn digits() -> Arc<dyn Dataset> {
    open("digits", Path::new("no cache")).unwrap().test
}

/// 360 test digits in batches of 50: seven whole ones and one of 10.
fn config() -> LoaderConfig {
    LoaderConfig {
        batch_size: 50,
        transforms: vec![
            Transform::PadCrop(PadCrop { pad: 2, mode: PadMode::Zero }),
            Transform::Flip(Flip::default()),
            Transform::Cutout(Cutout { size: 3 }),
        ],
        mean: vec![0.5],
        std: vec![0.25],
        seed: 3,
        ..LoaderConfig::default()
    }
}

fn epoch(config: LoaderConfig, epoch: u64, first: usize) -> Vec<Batch> {
    Loader::new(digits(), config).unwrap().epoch(epoch, first).map(Result::unwrap).collect()
}

fn order(batches: &[Batch]) -> Vec<usize> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
}

#[test]
fn an_epoch_serves_every_image_once() {
    let batches = epoch(config(), 0, 0);
    assert_eq!(batches.iter().map(|batch| batch.indices.len()).collect::<Vec<_>>(), [50, 50, 50, 50, 50, 50, 50, 10]);
    assert_eq!(batches[7].images.shape(), [10, 8, 8, 1]);
    assert!(batches.iter().all(|batch| batch.images.is_standard_layout()));
    let mut order = order(&batches);
    assert_ne!(order, (0..360).collect::<Vec<_>>());
    order.sort_unstable();
    assert_eq!(order, (0..360).collect::<Vec<_>>());
}

#[test]
fn labels_and_pixels_belong_to_their_image() {
    let digits = digits();
    let config = config();
    let statistics = (&config.mean[..], &config.std[..]);
    let pipeline = Pipeline::new(1, Some((8, 8)), &config.transforms, statistics, config.seed).unwrap();
    let (mut buffer, mut scratch) = (Image::empty(), Scratch::new());
    let mut expected = vec![0.0; 64];
    for batch in epoch(config, 5, 0) {
        for ((image, &label), &index) in batch.images.outer_iter().zip(&batch.labels).zip(&batch.indices) {
            assert_eq!(label, digits.label(index) as i64);
            pipeline.apply(digits.image(index, &mut buffer).unwrap(), 5, index, &mut scratch, &mut expected);
            assert_eq!(image.as_slice().unwrap(), expected);
        }
    }
}

#[test]
fn threads_and_prefetching_change_nothing() {
    let one = epoch(config(), 2, 0);
    for (threads, prefetch) in [(2, 1), (3, 8)] {
        assert_eq!(epoch(LoaderConfig { threads, prefetch, ..config() }, 2, 0), one);
    }
}

#[test]
fn an_epoch_resumes_where_it_was_left() {
    let whole = epoch(config(), 4, 0);
    for first in 0..=8 {
        assert_eq!(epoch(config(), 4, first), whole[first..]);
    }
    assert_eq!(epoch(config(), 4, 99), []);
}

#[test]
fn seed_and_epoch_decide_the_order() {
    let orders = |seed, number| order(&epoch(LoaderConfig { seed, ..config() }, number, 0));
    assert_eq!(orders(3, 0), orders(3, 0));
    assert_ne!(orders(3, 0), orders(3, 1));
    assert_ne!(orders(3, 0), orders(4, 0));
    // Pinned: a run that is resumed after an update of this program must see the same order.
    assert_eq!(orders(3, 0)[..8], [87, 289, 311, 47, 48, 357, 122, 233]);
}

#[test]
fn without_shuffling_the_order_is_that_of_the_data_set() {
    let batches = epoch(LoaderConfig { shuffle: false, drop_last: true, ..config() }, 7, 0);
    assert_eq!(order(&batches), (0..350).collect::<Vec<_>>());
}

#[test]
fn recycled_memory_shows_nothing_of_the_old_batch() {
    let loader = Loader::new(digits(), config()).unwrap();
    let mut batches = loader.epoch(1, 0);
    let mut seen = Vec::new();
    while let Some(batch) = batches.next() {
        let batch = batch.unwrap();
        seen.push(batch.clone());
        batches.recycle(batch);
    }
    assert_eq!(seen, epoch(config(), 1, 0));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    for (config, message) in [
        (LoaderConfig { batch_size: 0, ..config() }, "batch_size is 0: expected at least 1"),
        (LoaderConfig { threads: 0, ..config() }, "threads is 0: expected at least 1"),
        (LoaderConfig { prefetch: 0, ..config() }, "prefetch is 0: expected at least 1"),
        (
            LoaderConfig { batch_size: 361, drop_last: true, ..config() },
            "`digits/test` has 360 images, not enough for one batch: expected at least 361",
        ),
        (
            LoaderConfig { mean: vec![0.5; 3], ..config() },
            "mean and std have 3 and 1 values: expected 1 each, one per channel",
        ),
    ] {
        assert_eq!(Loader::new(digits(), config).map(|_| ()).unwrap_err().to_string(), message);
    }
}

/// Gives the label and the pixels of an image.
type Fault = fn(&Faulty, usize) -> (usize, &[u8]);

/// 100 images of one pixel that count how often they are read and misbehave from image 10 on.
struct Faulty {
    fault: Fault,
    classes: Vec<String>,
    reads: AtomicUsize,
}

impl Faulty {
    fn new(fault: Fault) -> Arc<Self> {
        Arc::new(Self { fault, classes: vec!["only".to_owned()], reads: AtomicUsize::new(0) })
    }

    fn answer(&self, index: usize) -> (usize, &[u8]) {
        if index < 10 { (0, &[1]) } else { (self.fault)(self, index) }
    }
}

impl Dataset for Faulty {
    fn name(&self) -> &str {
        "faulty"
    }

    fn len(&self) -> usize {
        100
    }

    fn channels(&self) -> usize {
        1
    }

    fn shape(&self) -> Option<ImageShape> {
        Some(ImageShape { channels: 1, height: 1, width: 1 })
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.answer(index).0
    }

    fn image<'a>(&'a self, index: usize, _buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let pixels = self.answer(index).1;
        Ok(ImageView::new(ImageShape { channels: 1, height: 1, width: pixels.len() }, pixels))
    }
}

fn one_by_one(threads: usize) -> LoaderConfig {
    LoaderConfig { batch_size: 5, shuffle: false, threads, prefetch: 1, ..LoaderConfig::default() }
}

#[test]
fn a_faulty_data_set_ends_the_epoch_with_an_error() {
    let faults: [(Fault, &str); 3] = [
        (|_, _| (1, &[1]), "data set `faulty`: image 10: expected a label below 1, found 1"),
        (|_, _| (0, &[]), "data set `faulty`: image 10: expected 1x1x1, found 1x0x1"),
        (|_, index| panic!("no image {index}"), "the loader's background thread stopped: no image 10"),
    ];
    for (fault, message) in faults {
        for threads in [1, 2] {
            let loader = Loader::new(Faulty::new(fault), one_by_one(threads)).unwrap();
            let mut batches = loader.epoch(0, 0);
            assert!(batches.next().unwrap().is_ok() && batches.next().unwrap().is_ok());
            assert_eq!(batches.next().unwrap().unwrap_err().to_string(), message);
            assert!(batches.next().is_none());
        }
    }
}

#[test]
fn dropping_an_epoch_stops_its_thread() {
    let dataset = Faulty::new(|_, _| (0, &[1]));
    let loader = Loader::new(Arc::clone(&dataset) as Arc<dyn Dataset>, one_by_one(1)).unwrap();
    let mut batches = loader.epoch(0, 0);
    batches.next().unwrap().unwrap();
    drop(batches);
    // One batch taken, one lying ready, one in the making, and room for one begun in between: never the whole epoch.
    let reads = dataset.reads.load(Ordering::SeqCst);
    assert!(reads <= 20, "{reads}");
    // The thread was joined: nothing is read any more, and the loader serves on.
    assert_eq!(loader.epoch(0, 19).map(Result::unwrap).count(), 1);
    assert_eq!(dataset.reads.load(Ordering::SeqCst), reads + 5);
}
