use std::sync::{Arc, Mutex};

use super::*;
use crate::{Error, ImageShape, ImageView, Images};

fn classes() -> Vec<String> {
    vec!["cat".to_owned(), "lizard".to_owned()]
}

fn splits(train: Arc<dyn Dataset>, test: Arc<dyn Dataset>) -> Splits {
    let (mean, std) = (vec![0.25], vec![1.0]);
    let valid = Arc::new(crate::Subset::new("none", Arc::clone(&train), Vec::new()).unwrap());
    let ignored = Ignored::default();
    Splits { name: "pets".to_owned(), format: Format::Idx, train, valid, test, mean, std, ignored }
}

#[test]
fn the_table_reads_like_this() {
    let shape = ImageShape { channels: 1, height: 1, width: 2 };
    let split = |name: &str, labels: Vec<u32>| -> Arc<dyn Dataset> {
        let pixels = labels.iter().flat_map(|_| [0, 255]).collect();
        Arc::new(Images::new(name, shape, classes(), labels, pixels).unwrap())
    };
    let expected = "\
data set      pets
format        IDX
images        1x2x1 (height x width x channels)
classes       2
measured      mean 0.5000, std 0.5000
normalised by mean 0.2500, std 1.0000
damaged       none
ignored       nothing

label  class      train      test
    0  cat            1         1  ############
    1  lizard         2         0  ########################
       all            3         1";
    let seen = Mutex::new(Vec::new());
    let splits = splits(split("pets/train", vec![0, 1, 1]), split("pets/test", vec![0]));
    let report = inspect(&splits, &|done| seen.lock().unwrap().push(done));
    assert_eq!(report.to_string(), expected);
    let mut seen = seen.into_inner().unwrap();
    seen.sort();
    assert_eq!(seen, [1, 2, 3, 4]);
}

/// Image `i` has `i` rows, three columns and nothing but 255; of every seventh there is a reason why it cannot be read.
struct Growing(usize);

impl Dataset for Growing {
    fn name(&self) -> &str {
        "growing"
    }

    fn len(&self) -> usize {
        self.0
    }

    fn channels(&self) -> usize {
        1
    }

    fn shape(&self) -> Option<ImageShape> {
        None
    }

    fn classes(&self) -> &[String] {
        const { &[String::new()] }
    }

    fn label(&self, _index: usize) -> usize {
        0
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        if index.is_multiple_of(7) {
            let reason = std::io::Error::other("the disk\nsays no");
            return Err(Error::Io { action: "read", path: format!("{index}.png").into(), source: reason });
        }
        buffer.reshape(ImageShape { channels: 1, height: index, width: 3 }).fill(255);
        Ok(buffer.view())
    }
}

#[test]
fn sizes_are_measured_and_damage_is_named() {
    // Train: 14 of 100 are divisible by 7, and 0 is too; test: 0 and 7 of 10. Heights that can be read: 1 to 99.
    let report = inspect(&splits(Arc::new(Growing(100)), Arc::new(Growing(10))), &|_| ());
    assert_eq!((report.damaged, report.first_damaged.len()), (17, 12));
    assert_eq!(report.first_damaged[1], "cannot read 7.png: the disk says no");
    assert_eq!(
        report.first_damaged[9..],
        [
            "cannot read 63.png: the disk says no",
            "cannot read 0.png: the disk says no",
            "cannot read 7.png: the disk says no"
        ]
    );
    assert_eq!(report.width, Some(Spread { min: 3, median: 3, max: 3 }));
    // 85 heights of the train split and 8 below 10: the 47th of 93 is the 39th of the train split, 45.
    assert_eq!(report.height, Some(Spread { min: 1, median: 45, max: 99 }));
    assert_eq!(report.measured, Statistics { mean: vec![1.0], std: vec![1.0] });
    let text = report.to_string();
    for line in [
        "images        of several sizes",
        "channels      1",
        "height        1 to 99, median 45",
        "damaged       17 of 110",
        "              and 5 more",
    ] {
        assert!(text.lines().any(|each| each == line), "{text}");
    }
}
