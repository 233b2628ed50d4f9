//! What a data set is, and the one that lies in memory.

use crate::Error;

/// The size of every image of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ImageShape {
    /// Channels C: 1 for grey, 3 for red, green, blue.
    pub channels: usize,
    /// Rows H.
    pub height: usize,
    /// Columns W.
    pub width: usize,
}

impl ImageShape {
    /// Bytes of one image, `H * W * C`.
    pub fn len(&self) -> usize {
        self.height.saturating_mul(self.width).saturating_mul(self.channels)
    }

    /// Whether an image has no pixels at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl std::fmt::Display for ImageShape {
    /// `HxWxC`, the order of the pixels in memory.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.height, self.width, self.channels)
    }
}

/// Labelled images of one size, addressed by position.
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

    /// The size that all images share.
    fn shape(&self) -> ImageShape;

    /// The names of the N classes; a label is a position in this list.
    fn classes(&self) -> &[String];

    /// The class of an image, below `classes().len()`.
    fn label(&self, index: usize) -> usize;

    /// The pixels of an image: `[H, W, C]`, one byte a value, `shape().len()` of them.
    fn pixels(&self, index: usize) -> &[u8];
}

/// A data set that lies in memory.
#[derive(Clone)]
pub struct Images {
    name: String,
    shape: ImageShape,
    classes: Vec<String>,
    labels: Vec<u8>,
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
        labels: Vec<u8>,
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
        if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes.len()) {
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

    fn shape(&self) -> ImageShape {
        self.shape
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        usize::from(self.labels[index])
    }

    fn pixels(&self, index: usize) -> &[u8] {
        let len = self.shape.len();
        &self.pixels[index * len..][..len]
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

    fn images(labels: &[u8], bytes: usize) -> Result<Images, Error> {
        let classes = vec!["cat".to_owned(), "dog".to_owned()];
        Images::new("pets", SHAPE, classes, labels.to_vec(), (0..).take(bytes).collect())
    }

    #[test]
    fn an_image_is_addressed_by_its_position() {
        let pets = images(&[1, 0], 12).unwrap();
        assert_eq!(pets.pixels(1), [6, 7, 8, 9, 10, 11]);
        assert_eq!(pets.classes()[pets.label(0)], "dog");
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
