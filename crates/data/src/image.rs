//! One image in memory.

/// The size of an image.
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

/// How many of the first rows of an image are looked at, by its size.
pub type Rows<'a> = &'a dyn Fn(ImageShape) -> usize;

/// The [`Rows`] of those who look at the whole image.
pub(crate) fn all_rows(shape: ImageShape) -> usize {
    shape.height
}

/// Pixels that lie elsewhere: `[H, W, C]`, one byte a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageView<'a> {
    shape: ImageShape,
    pixels: &'a [u8],
}

impl<'a> ImageView<'a> {
    /// A view of `pixels` as an image of `shape`.
    ///
    /// # Panics
    /// If there are not as many pixels as the shape asks for.
    pub fn new(shape: ImageShape, pixels: &'a [u8]) -> Self {
        assert_eq!(pixels.len(), shape.len(), "the bytes of an image of {shape}");
        Self { shape, pixels }
    }

    /// Its size.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Its pixels, row by row.
    pub fn pixels(&self) -> &'a [u8] {
        self.pixels
    }
}

/// An image that owns its pixels, `[H, W, C]`. Its memory serves one image after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    shape: ImageShape,
    pixels: Vec<u8>,
}

impl Image {
    /// An image without pixels, to be filled later.
    pub fn empty() -> Self {
        Self { shape: ImageShape { channels: 0, height: 0, width: 0 }, pixels: Vec::new() }
    }

    /// Takes the pixels of an image of `shape`.
    ///
    /// # Panics
    /// If there are not as many pixels as the shape asks for.
    pub fn new(shape: ImageShape, pixels: Vec<u8>) -> Self {
        assert_eq!(pixels.len(), shape.len(), "the bytes of an image of {shape}");
        Self { shape, pixels }
    }

    /// Its size.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Its pixels, row by row.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Its pixels, to change them.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The whole image as a view.
    pub fn view(&self) -> ImageView<'_> {
        ImageView { shape: self.shape, pixels: &self.pixels }
    }

    /// Becomes an image of `shape`, and gives its pixels to be written; they hold what was there before, or 0. Memory is
    /// taken only where the image has never been as large.
    pub fn reshape(&mut self, shape: ImageShape) -> &mut [u8] {
        self.shape = shape;
        self.pixels.resize(shape.len(), 0);
        &mut self.pixels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kept_from_image_to_image() {
        let shape = |height| ImageShape { channels: 3, height, width: 4 };
        let mut image = Image::empty();
        image.reshape(shape(5)).fill(7);
        let place = image.pixels().as_ptr();
        assert_eq!(image.reshape(shape(2)).len(), 24);
        assert_eq!((image.pixels().as_ptr(), image.shape()), (place, shape(2)));
    }

    #[test]
    #[should_panic(expected = "the bytes of an image of 1x2x3")]
    fn pixels_of_another_shape_are_refused() {
        let _ = ImageView::new(ImageShape { channels: 3, height: 1, width: 2 }, &[0; 5]);
    }
}
