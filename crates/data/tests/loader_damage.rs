//! The loader over data sets that misbehave: what ends an epoch, what is skipped and counted, and prompt stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mp_data::{
    Batch, Dataset, Error, Image, ImageShape, ImageView, Loader, LoaderConfig, OnDamage, Sampler, Share, SkipCount,
    Skipped, Uneven,
};

fn order(batches: &[Batch]) -> Vec<usize> {
    batches.iter().flat_map(|batch| batch.indices.clone()).collect()
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
    LoaderConfig { batch_size: 5, sampler: Sampler::Sequential, threads, prefetch: 1, ..LoaderConfig::default() }
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

/// Images whose pixel is their position; those of `damaged` cannot be read.
struct Scratched {
    damaged: Vec<usize>,
    classes: Vec<String>,
    pixels: Vec<u8>,
}

impl Scratched {
    fn of(count: u8, damaged: impl IntoIterator<Item = usize>) -> Arc<dyn Dataset> {
        let classes = vec!["only".to_owned()];
        Arc::new(Self { damaged: damaged.into_iter().collect(), classes, pixels: (0..count).collect() })
    }
}

impl Dataset for Scratched {
    fn name(&self) -> &str {
        "scratched"
    }

    fn len(&self) -> usize {
        self.pixels.len()
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

    fn label(&self, _index: usize) -> usize {
        0
    }

    fn image<'a>(&'a self, index: usize, _buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        match self.damaged.contains(&index) {
            true => Err(Error::Io {
                action: "read",
                path: format!("{index}.jpg").into(),
                source: std::io::Error::other("the disk is scratched"),
            }),
            false => Ok(ImageView::new(ImageShape { channels: 1, height: 1, width: 1 }, &self.pixels[index..=index])),
        }
    }
}

fn skipping() -> LoaderConfig {
    LoaderConfig { batch_size: 4, damaged: OnDamage::Skip, threads: 2, ..LoaderConfig::default() }
}

#[test]
fn the_next_image_stands_for_a_damaged_one() {
    let config = LoaderConfig { sampler: Sampler::Sequential, ..skipping() };
    let loader = Loader::new(Scratched::of(10, [2, 3, 9]), config).unwrap();
    let batches: Vec<Batch> = loader.epoch(0, 0).map(Result::unwrap).collect();
    // After the last comes the first.
    assert_eq!(order(&batches), [0, 1, 4, 4, 4, 5, 6, 7, 8, 0]);
    assert_eq!(batches[0].images.iter().map(|value| (value * 255.0).round()).collect::<Vec<_>>(), [0.0, 1.0, 4.0, 4.0]);
    let skipped =
        |place, index| Skipped { place, index, reason: format!("cannot read {index}.jpg: the disk is scratched") };
    assert_eq!(batches[0].skipped, [skipped(2, 2), skipped(3, 3)]);
    assert_eq!((&batches[1].skipped[..], &batches[2].skipped[..]), (&[][..], &[skipped(1, 9)][..]));

    let mut count = SkipCount::default();
    batches.iter().for_each(|batch| count.add(batch));
    assert_eq!(count.to_string(), "3 damaged images skipped, first: cannot read 2.jpg: the disk is scratched");
    batches.iter().for_each(|batch| count.add(batch));
    assert_eq!((count.images, count.reasons.len()), (6, 3));
}

#[test]
fn what_stands_for_a_damaged_image_does_not_depend_on_the_way_there() {
    let dataset = || Scratched::of(100, (0..100).filter(|index| index % 3 == 0));
    let serve = |config: LoaderConfig, first| -> Vec<Batch> {
        Loader::new(dataset(), config).unwrap().epoch(2, first).map(Result::unwrap).collect()
    };
    let whole = serve(skipping(), 0);
    assert_eq!(whole.iter().map(|batch| batch.skipped.len()).sum::<usize>(), 34);
    for threads in [1, 16] {
        assert_eq!(serve(LoaderConfig { threads, ..skipping() }, 0), whole);
    }
    assert_eq!(serve(skipping(), 13), whole[13..]);
    // Two processes serve, in turns, what one does.
    let share =
        |rank| order(&serve(LoaderConfig { share: Share { rank, world: 2, uneven: Uneven::Pad }, ..skipping() }, 0));
    let turns: Vec<usize> = share(0).into_iter().zip(share(1)).flat_map(|(even, odd)| [even, odd]).collect();
    assert_eq!(turns, order(&whole));
}

#[test]
fn a_damaged_image_ends_the_epoch_unless_it_may_be_skipped() {
    let config = LoaderConfig { damaged: OnDamage::Fail, sampler: Sampler::Sequential, ..skipping() };
    let loader = Loader::new(Scratched::of(10, [5]), config).unwrap();
    let mut batches = loader.epoch(0, 0);
    assert!(batches.next().unwrap().is_ok());
    assert_eq!(batches.next().unwrap().unwrap_err().to_string(), "cannot read 5.jpg");
    assert!(batches.next().is_none());

    let loader = Loader::new(Scratched::of(10, 0..10), skipping()).unwrap();
    let message = loader.epoch(0, 0).next().unwrap().unwrap_err().to_string();
    assert!(message.starts_with("data set `scratched`: 101 images in a row cannot be read, the first: cannot read "));
}
