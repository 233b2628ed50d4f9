use std::sync::Arc;

use super::*;
use crate::{Format, Images};

/// A class of four images that are one colour each, and one with a long name and no training image.
fn colours(shape: ImageShape) -> Splits {
    let classes = vec!["c".to_owned(), "a name as long as it can possibly be ".repeat(4)];
    let split = |labels: Vec<u32>, greys: &[u8]| -> Arc<dyn Dataset> {
        let pixels = greys.iter().flat_map(|&grey| vec![grey; shape.len()]).collect();
        Arc::new(Images::new("colours", shape, classes.clone(), labels, pixels).unwrap())
    };
    Splits {
        name: "colours".to_owned(),
        format: Format::Idx,
        train: split(vec![0; 4], &[10, 20, 30, 40]),
        valid: Arc::new(crate::Subset::new("none", split(vec![0], &[0]), Vec::new()).unwrap()),
        test: split(vec![1, 0], &[50, 60]),
        mean: vec![0.5],
        std: vec![0.5],
        ignored: crate::Ignored::default(),
    }
}

/// Samples of the sheet at the middle of each image of a class.
fn middles(image: &Image, label: usize) -> Vec<[u8; 3]> {
    let layout = Layout::of(2);
    let block = layout.block(label);
    let at = |sample: usize| {
        let (x, y) = (block.x + sample * (layout.cell + GAP) + layout.cell / 2, block.y + LINE + layout.cell / 2);
        let at = (y * image.shape().width + x) * 3;
        [image.pixels()[at], image.pixels()[at + 1], image.pixels()[at + 2]]
    };
    (0..layout.samples).map(at).collect()
}

#[test]
fn images_stand_under_their_class_enlarged_or_scaled_down() {
    for (height, width, channels) in [(5, 7, 3), (96, 96, 1), (200, 100, 3), (100, 1, 1), (1, 5000, 3)] {
        let image = sheet(&colours(ImageShape { channels, height, width })).unwrap();
        let layout = Layout::of(2);
        let shape = ImageShape { channels: 3, height: layout.height(), width: layout.width() };
        assert_eq!(image.shape(), shape);
        let white = [255; 3];
        let first = [[10; 3], [20; 3], [30; 3], [40; 3], white, white, white, white];
        // A sliver of one pixel lies beside the point that is looked at.
        if width > 1 && height > 1 {
            assert_eq!(middles(&image, 0), first);
            assert_eq!(middles(&image, 1)[0], [50; 3]);
        }
    }
}

#[test]
fn members_are_spread_evenly() {
    let members: Vec<usize> = (100..110).collect();
    assert_eq!(spread(&members, 4).collect::<Vec<_>>(), [100, 102, 105, 107]);
    assert_eq!(spread(&members[..2], 4).collect::<Vec<_>>(), [100, 101]);
    assert_eq!(spread(&[], 4).count(), 0);
}

#[test]
fn pages_are_about_as_wide_as_they_should_be_and_hold_every_block() {
    for classes in [2, 10, 100, 200, 1000] {
        let layout = Layout::of(classes);
        let aspect = layout.width() as f64 / layout.height() as f64;
        assert!((0.8..3.5).contains(&aspect), "{classes} classes: {aspect}");
        let last = layout.block(classes - 1);
        assert!(last.x + last.width <= layout.width() && last.y + layout.block_height() <= layout.height());
    }
}

#[test]
fn a_name_that_does_not_fit_is_cut() {
    let mut page = Page::new(100, 20);
    let place = Place { x: 0, y: 0, width: 50 };
    let letter = page::width_of("x");
    assert_eq!(page.text("abc", place, Ink::Strong), 3 * letter);
    assert_eq!(page.text(&"long ".repeat(9), place, Ink::Strong), 50 / letter * letter);
    // A letter that the font lacks is a question mark.
    let pixels = |letter: &str| {
        let mut page = Page::new(100, 20);
        page.text(letter, place, Ink::Faint);
        page.into_pixels()
    };
    assert_eq!(pixels("\u{4e2d}"), pixels("?"));
    assert_ne!(pixels("?"), pixels(" "));
}
