//! A contact sheet: some images of every class under its name, as one picture.

mod page;

use self::page::{Ink, LINE, Page, Place};
use crate::{Dataset, Error, Image, ImageShape, Splits};

/// Space between images, and around everything.
const GAP: usize = 4;
const MARGIN: usize = 16;
/// The picture is laid out to be about so many times as wide as it is high.
const ASPECT: f64 = 1.5;

/// Draws images of every class, spread evenly over the class, under its name and its number of images: 3 channels, dark on
/// white. They are training images, or validation or test images where a class has no others. A small image is enlarged by a whole number, so that
/// its pixels stay visible; a large one is scaled down. One that cannot be read is a crossed box.
///
/// # Errors
/// [`Error::Config`] if there are no classes.
pub fn sheet(splits: &Splits) -> Result<Image, Error> {
    let classes = splits.train.classes();
    if classes.is_empty() {
        return Err(Error::Config(format!("data set `{}` has no classes: there is nothing to draw", splits.name)));
    }
    let layout = Layout::of(classes.len());
    let mut page = Page::new(layout.width(), layout.height());
    let counts = match splits.valid.len() {
        0 => format!("{} training and {} test images", splits.train.len(), splits.test.len()),
        valid => {
            format!("{} training, {valid} validation and {} test images", splits.train.len(), splits.test.len())
        }
    };
    let heading = Place { x: MARGIN, y: MARGIN, width: layout.width() - 2 * MARGIN };
    let end = page.text(&splits.name, heading, Ink::Strong);
    page.text(&counts, heading.after(end), Ink::Faint);

    let parts = [&*splits.train, &*splits.valid, &*splits.test].map(|images| (images, members(images)));
    let mut buffer = Image::empty();
    for (label, class) in classes.iter().enumerate() {
        // Of the first part that has any.
        let (dataset, members) = parts
            .iter()
            .map(|(images, members)| (*images, members.get(label).map_or(&[][..], |members| members)))
            .find(|(_, members)| !members.is_empty())
            .unwrap_or((&*splits.train, &[]));
        let block = layout.block(label);
        let count = members.len().to_string();
        let room = Place { width: block.width.saturating_sub(page::width_of(&count) + 2 * GAP), ..block };
        let end = page.text(class, room, Ink::Strong);
        page.text(&count, block.after(end), Ink::Faint);
        for (column, index) in spread(members, layout.samples).enumerate() {
            let (x, y) = (block.x + column * (layout.cell + GAP), block.y + LINE + GAP / 2);
            match dataset.image(index, &mut buffer) {
                Ok(image) => page.image(image, x, y, layout.cell),
                Err(_) => page.cross(x, y, layout.cell),
            }
        }
    }
    let shape = ImageShape { channels: 3, height: page.height(), width: page.width() };
    Ok(Image::new(shape, page.into_pixels()))
}

/// The positions of the images of each class.
fn members(dataset: &dyn Dataset) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); dataset.classes().len()];
    for index in 0..dataset.len() {
        // A label without a class is the loader's to refuse.
        if let Some(members) = members.get_mut(dataset.label(index)) {
            members.push(index);
        }
    }
    members
}

/// At most `count` of the members, evenly spread.
fn spread(members: &[usize], count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(members.len());
    (0..count).map(move |sample| members[sample * members.len() / count])
}

/// Where the blocks of the classes lie, column by column.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Layout {
    samples: usize,
    cell: usize,
    columns: usize,
    rows: usize,
}

impl Layout {
    /// The more classes, the smaller and the fewer the images of each.
    fn of(classes: usize) -> Self {
        let (samples, cell) = match classes {
            0..=20 => (8, 96),
            21..=100 => (5, 64),
            101..=300 => (4, 48),
            _ => (4, 32),
        };
        let with = |columns| Self { samples, cell, columns, rows: classes.div_ceil(columns) };
        let distance = |layout: &Self| (layout.width() as f64 / layout.height() as f64 / ASPECT).ln().abs();
        (1..=classes)
            .map(with)
            .min_by(|left, right| distance(left).total_cmp(&distance(right)))
            .unwrap_or_else(|| with(1))
    }

    fn block_width(self) -> usize {
        self.samples * (self.cell + GAP) - GAP
    }

    fn block_height(self) -> usize {
        LINE + GAP / 2 + self.cell
    }

    fn width(self) -> usize {
        MARGIN + self.columns * (self.block_width() + MARGIN)
    }

    fn height(self) -> usize {
        MARGIN + LINE + GAP + self.rows * (self.block_height() + 3 * GAP) + MARGIN - 3 * GAP
    }

    fn block(self, label: usize) -> Place {
        let (column, row) = (label / self.rows, label % self.rows);
        Place {
            x: MARGIN + column * (self.block_width() + MARGIN),
            y: MARGIN + LINE + GAP + row * (self.block_height() + 3 * GAP),
            width: self.block_width(),
        }
    }
}

#[cfg(test)]
mod tests;
