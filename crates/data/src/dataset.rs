//! What a data set is, and one whose images are in memory.

use std::ops::Range;

use crate::fingerprint::Fingerprint;
use crate::{Error, Image, ImageShape, ImageView, Rows};

/// Labelled images, addressed by position.
///
/// Object-safe, and shared between threads as `Arc<dyn Dataset>`.
/// The methods that take an index panic if it is not below [`len`](Dataset::len).
pub trait Dataset: Send + Sync {
    /// A short name for messages and reports, such as `cifar10/train`.
    fn name(&self) -> &str;

    /// How many images there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels C of every image.
    fn channels(&self) -> usize;

    /// The size that all images share; `None` where they differ, or nobody knows before they are decoded.
    fn shape(&self) -> Option<ImageShape>;

    /// The size of an image as it is stored, from its header where that is quicker than to decode it.
    ///
    /// # Errors
    /// An image that cannot be read, or whose header is damaged.
    fn stored_shape(&self, index: usize) -> Result<ImageShape, Error> {
        match self.shape() {
            Some(shape) => Ok(shape),
            None => self.image(index, &mut Image::empty()).map(|image| image.shape()),
        }
    }

    /// The names of the N classes; a label is a position in this list.
    fn classes(&self) -> &[String];

    /// The class of an image, below `classes().len()`.
    fn label(&self, index: usize) -> usize;

    /// Where an image comes from, in one line: the path of its file, or the data set's name and the image's position.
    fn origin(&self, index: usize) -> String {
        format!("{}[{index}]", self.name())
    }

    /// The runs of positions whose images lie together, such as those of one file of many: in order, without gaps. Reading
    /// run by run saves seeks. Where images lie does not matter by default: one run.
    fn shards(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }

    /// What identifies this set: 32 hexadecimal digits, which change when a class is renamed, a label is another,
    /// an image is added or removed, or replaced by one of another size; not when the files move to another folder. Quick,
    /// because it looks at names and sizes where images lie in files of their own: one that is replaced by another of exactly as
    /// many bytes is not noticed. By default, and for images that lie in memory, it is a digest of everything.
    ///
    /// # Errors
    /// A file that is gone; by default, an image that cannot be read.
    fn fingerprint(&self) -> Result<String, Error> {
        let mut fingerprint = Fingerprint::new("images", self.classes());
        let mut buffer = Image::empty();
        for index in 0..self.len() {
            let image = self.image(index, &mut buffer)?;
            fingerprint.number(self.label(index) as u64);
            fingerprint.bytes(image.shape().to_string().as_bytes());
            fingerprint.bytes(image.pixels());
        }
        Ok(fingerprint.finish())
    }

    /// The bytes of an image as they are stored, where that is a JPEG, PNG, WebP or BMP: where they lie, or read into `buffer`.
    /// `None` by default: they are not stored like this.
    ///
    /// # Errors
    /// An image that cannot be read.
    fn encoded<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        let _ = (index, buffer);
        Ok(None)
    }

    /// The pixels of an image: where they lie, or decoded into `buffer`, whose memory serves one image after another.
    ///
    /// # Errors
    /// An image that cannot be read or decoded.
    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error>;

    /// An image, `[H, W, C]`, for somebody who looks at its first rows only, as many as `rows` says. The image has its whole
    /// size, but the other rows may hold anything, and damage to them may go unnoticed: what is encoded need not be decoded
    /// further. By default it is the [`image`](Dataset::image).
    ///
    /// # Errors
    /// An image of which these rows cannot be read or decoded.
    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        let _ = rows;
        self.image(index, buffer)
    }
}

/// A data set whose images are in memory.
#[derive(Clone)]
pub struct Images {
    name: String,
    shape: ImageShape,
    classes: Vec<String>,
    labels: Vec<u32>,
    pixels: Vec<u8>,
}

impl Images {
    /// Takes `labels.len()` images, whose `pixels` follow each other in `[B, H, W, C]` order.
    ///
    /// # Errors
    /// [`Error::Config`] if there are no images, an image has no pixels, or the pixels are not as many as the labels and
    /// the shape ask for; [`Error::Inconsistent`] at the first label that has no class.
    pub fn new(
        name: impl Into<String>,
        shape: ImageShape,
        classes: Vec<String>,
        labels: Vec<u32>,
        pixels: Vec<u8>,
    ) -> Result<Self, Error> {
        let name = name.into();
        if labels.is_empty() || shape.is_empty() {
            return Err(Error::Config(format!(
                "data set `{name}` holds {} images of {shape}: expected at least one pixel",
                labels.len()
            )));
        }
        if labels.len().checked_mul(shape.len()) != Some(pixels.len()) {
            return Err(Error::Config(format!(
                "data set `{name}` has {} bytes of pixels: expected {} images of {shape}",
                pixels.len(),
                labels.len()
            )));
        }
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes.len()) {
            return Err(Error::Inconsistent {
                name,
                index,
                expected: format!("a label below {}", classes.len()),
                found: labels[index].to_string(),
            });
        }
        Ok(Self { name, shape, classes, labels, pixels })
    }
}

impl Dataset for Images {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    fn channels(&self) -> usize {
        self.shape.channels
    }

    fn shape(&self) -> Option<ImageShape> {
        Some(self.shape)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.labels[index] as usize
    }

    fn fingerprint(&self) -> Result<String, Error> {
        let mut fingerprint = Fingerprint::new("memory", &self.classes);
        fingerprint.bytes(self.shape.to_string().as_bytes());
        self.labels.iter().for_each(|&label| fingerprint.number(label.into()));
        fingerprint.many_bytes(&self.pixels);
        Ok(fingerprint.finish())
    }

    fn image<'a>(&'a self, index: usize, _buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        let len = self.shape.len();
        Ok(ImageView::new(self.shape, &self.pixels[index * len..][..len]))
    }
}

impl std::fmt::Debug for Images {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Images(`{}`, {} images of {}, {} classes)", self.name, self.len(), self.shape, self.classes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 1, width: 2 };

    fn images(labels: &[u32], bytes: usize) -> Result<Images, Error> {
        let classes = vec!["cat".to_owned(), "dog".to_owned()];
        Images::new("pets", SHAPE, classes, labels.to_vec(), (0..).take(bytes).collect())
    }

    #[test]
    fn an_image_is_addressed_by_its_position() {
        let pets = images(&[1, 0], 12).unwrap();
        assert_eq!(pets.image(1, &mut Image::empty()).unwrap().pixels(), [6, 7, 8, 9, 10, 11]);
        assert_eq!(pets.classes()[pets.label(0)], "dog");
    }

    #[test]
    fn a_fingerprint_notices_labels_classes_and_pixels() {
        let whole = |classes: [&str; 2], labels: &[u32], first: u8| {
            let pixels = std::iter::once(first).chain(1..12).collect();
            let classes = classes.map(str::to_owned).to_vec();
            Images::new("pets", SHAPE, classes, labels.to_vec(), pixels).unwrap().fingerprint().unwrap()
        };
        let before = whole(["cat", "dog"], &[1, 0], 0);
        assert_eq!(whole(["cat", "dog"], &[1, 0], 0), before);
        for other in
            [whole(["cat", "wolf"], &[1, 0], 0), whole(["cat", "dog"], &[0, 1], 0), whole(["cat", "dog"], &[1, 0], 255)]
        {
            assert_ne!(other, before);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (labels, bytes, message) in [
            (&[][..], 0, "data set `pets` holds 0 images of 1x2x3: expected at least one pixel"),
            (&[0, 1], 11, "data set `pets` has 11 bytes of pixels: expected 2 images of 1x2x3"),
            (&[0, 2], 12, "data set `pets`: image 1: expected a label below 2, found 2"),
        ] {
            assert_eq!(images(labels, bytes).unwrap_err().to_string(), message);
        }
    }
}
