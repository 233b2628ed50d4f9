//! Colour images for networks that take grey ones, and the other way round, by one rule wherever an image is read.

use std::ops::Range;
use std::sync::Arc;

use crate::transform::colour::luma;
use crate::{Dataset, Error, Image, ImageShape, ImageView, Rows};

/// Writes an image with so many channels into `out`: of a colour the grey level of ITU-R 601-2, as Pillow's `convert("L")`; of
/// a grey level three equal ones. An image that has them already is copied as it is.
///
/// # Errors
/// [`Error::Config`] for any other change: what it would mean, nobody can say.
pub fn recolour(image: ImageView<'_>, channels: usize, out: &mut Image) -> Result<(), Error> {
    let old = image.shape();
    ensure_known(old.channels, channels)?;
    let (from, to) = (image.pixels(), out.reshape(ImageShape { channels, ..old }));
    match (old.channels, channels) {
        (3, 1) => to.iter_mut().zip(from.as_chunks::<3>().0).for_each(|(grey, colour)| *grey = luma(*colour)),
        (1, 3) => to.as_chunks_mut::<3>().0.iter_mut().zip(from).for_each(|(colour, grey)| *colour = [*grey; 3]),
        _ => to.copy_from_slice(from),
    }
    Ok(())
}

fn ensure_known(from: usize, to: usize) -> Result<(), Error> {
    if from == to || matches!((from, to), (3, 1) | (1, 3)) {
        return Ok(());
    }
    Err(Error::Config(format!(
        "images of {from} channels, expected {to}: only grey and colour images stand for each other"
    )))
}

/// Another data set whose images get other channels as they are read.
pub struct Recoloured {
    whole: Arc<dyn Dataset>,
    channels: usize,
}

impl Recoloured {
    /// The images of `whole` with so many channels, by the rule of [`recolour`].
    ///
    /// # Errors
    /// As [`recolour`].
    pub fn new(whole: Arc<dyn Dataset>, channels: usize) -> Result<Self, Error> {
        ensure_known(whole.channels(), channels)?;
        Ok(Self { whole, channels })
    }
}

impl Dataset for Recoloured {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn len(&self) -> usize {
        self.whole.len()
    }

    fn channels(&self) -> usize {
        self.channels
    }

    fn shape(&self) -> Option<ImageShape> {
        self.whole.shape().map(|shape| ImageShape { channels: self.channels, ..shape })
    }

    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.whole.label(index)
    }

    fn origin(&self, index: usize) -> String {
        self.whole.origin(index)
    }

    fn shards(&self) -> Vec<Range<usize>> {
        self.whole.shards()
    }

    fn stored_shape(&self, index: usize) -> Result<ImageShape, Error> {
        self.whole.stored_shape(index).map(|shape| ImageShape { channels: self.channels, ..shape })
    }

    /// That of the images as they are stored.
    fn fingerprint(&self) -> Result<String, Error> {
        self.whole.fingerprint()
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.first_rows(index, buffer, &crate::image::all_rows)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        let mut original = Image::empty();
        recolour(self.whole.first_rows(index, &mut original, rows)?, self.channels, buffer)?;
        Ok(buffer.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Images;

    fn shape(channels: usize) -> ImageShape {
        ImageShape { channels, height: 1, width: 2 }
    }

    fn recoloured(from: usize, pixels: &[u8], to: usize) -> Image {
        let mut out = Image::empty();
        recolour(ImageView::new(shape(from), pixels), to, &mut out).unwrap();
        out
    }

    #[test]
    fn colours_become_grey_levels_and_grey_levels_colours() {
        // 0.299 * 255 = 76.2 and 0.587 * 255 = 149.7.
        assert_eq!(recoloured(3, &[255, 0, 0, 0, 255, 0], 1), Image::new(shape(1), vec![76, 150]));
        assert_eq!(recoloured(1, &[7, 9], 3), Image::new(shape(3), vec![7, 7, 7, 9, 9, 9]));
        assert_eq!(recoloured(3, &[1, 2, 3, 4, 5, 6], 3).pixels(), [1, 2, 3, 4, 5, 6]);
        // There and back: a colour of equal parts is its own grey level.
        assert_eq!(recoloured(3, recoloured(1, &[0, 255], 3).pixels(), 1).pixels(), [0, 255]);
    }

    #[test]
    fn a_data_set_is_seen_in_other_colours() {
        let images = Images::new("pair", shape(1), vec!["a".to_owned()], vec![0, 0], vec![1, 2, 3, 4]).unwrap();
        let seen = Recoloured::new(Arc::new(images), 3).unwrap();
        assert_eq!((seen.channels(), seen.shape()), (3, Some(shape(3))));
        assert_eq!(seen.image(1, &mut Image::empty()).unwrap().pixels(), [3, 3, 3, 4, 4, 4]);
        assert_eq!(seen.origin(1), "pair[1]");
    }

    #[test]
    fn what_nobody_can_say_is_refused() {
        let images = Images::new("four", shape(4), vec!["a".to_owned()], vec![0], vec![0; 8]).unwrap();
        let message = Recoloured::new(Arc::new(images), 3).err().map(|error| error.to_string());
        assert_eq!(
            message.as_deref(),
            Some("images of 4 channels, expected 3: only grey and colour images stand for each other")
        );
    }
}
