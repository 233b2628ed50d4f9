//! An image in the making, in memory that serves one image after another.

use fast_image_resize::Resizer;

use crate::{Image, ImageShape, ImageView};

/// The memory that a [`Pipeline`](crate::Pipeline) works in: one for each thread, reused from image to image.
#[derive(Debug)]
pub struct Scratch {
    front: Image,
    back: Image,
    resizer: Resizer,
}

impl Scratch {
    /// Nothing yet; memory is taken as images need it.
    pub fn new() -> Self {
        Self { front: Image::empty(), back: Image::empty(), resizer: Resizer::new() }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// An image that changes are made to, one after the other. It is not copied before something is changed.
pub(super) struct Canvas<'a> {
    /// The image as it came; `None` once the current image is the one in `front`.
    input: Option<ImageView<'a>>,
    front: &'a mut Image,
    back: &'a mut Image,
    resizer: &'a mut Resizer,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(input: ImageView<'a>, scratch: &'a mut Scratch) -> Self {
        Self { input: Some(input), front: &mut scratch.front, back: &mut scratch.back, resizer: &mut scratch.resizer }
    }

    pub(super) fn view(&self) -> ImageView<'_> {
        self.input.unwrap_or_else(|| self.front.view())
    }

    pub(super) fn shape(&self) -> ImageShape {
        self.view().shape()
    }

    /// Becomes what `write` makes of the image that is there; it writes every pixel.
    pub(super) fn rewrite(&mut self, shape: ImageShape, write: impl FnOnce(ImageView<'_>, &mut [u8], &mut Resizer)) {
        let target = self.back.reshape(shape);
        let source = self.input.unwrap_or_else(|| self.front.view());
        write(source, target, self.resizer);
        std::mem::swap(&mut self.front, &mut self.back);
        self.input = None;
    }
}
