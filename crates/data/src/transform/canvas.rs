//! An image in the making, in memory that serves one image after another.

use fast_image_resize::Resizer;

use super::filter::blur;
use crate::{Image, ImageShape, ImageView};

/// The memory that a [`Pipeline`](crate::Pipeline) works in: one for each thread, reused from image to image.
#[derive(Debug)]
pub struct Scratch {
    front: Image,
    back: Image,
    resizer: Resizer,
    sums: Sums,
}

impl Scratch {
    /// Nothing yet; memory is taken as images need it.
    pub fn new() -> Self {
        Self { front: Image::empty(), back: Image::empty(), resizer: Resizer::new(), sums: Sums::default() }
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
    sums: &'a mut Sums,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(input: ImageView<'a>, scratch: &'a mut Scratch) -> Self {
        let Scratch { front, back, resizer, sums } = scratch;
        Self { input: Some(input), front, back, resizer, sums }
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

    /// The pixels, to change them where they are.
    pub(super) fn edit(&mut self) -> &mut [u8] {
        if let Some(input) = self.input.take() {
            self.front.reshape(input.shape()).copy_from_slice(input.pixels());
        }
        self.front.pixels_mut()
    }

    /// Smooths by the weights of one half of a symmetric filter, from the middle outwards.
    pub(super) fn smooth(&mut self, weights: &[f32]) {
        let mut between = std::mem::take(&mut self.sums.values);
        self.rewrite(self.shape(), |source, target, _| {
            blur(source, weights.iter().copied(), &mut between, target);
        });
        self.sums.values = between;
    }

    /// Lends the memory for weighted sums of images while the image is changed.
    pub(super) fn mix_in(&mut self, mix: impl FnOnce(&mut Self, &mut Sums)) {
        let mut sums = std::mem::take(self.sums);
        mix(self, &mut sums);
        *self.sums = sums;
    }
}

/// A weighted sum of an image and what is made of it.
#[derive(Debug, Default)]
pub(super) struct Sums {
    original: Vec<u8>,
    values: Vec<f32>,
}

impl Sums {
    /// Starts with an image, which is kept.
    pub(super) fn begin(&mut self, image: ImageView<'_>, weight: f32) {
        self.original.clear();
        self.original.extend_from_slice(image.pixels());
        self.values.clear();
        self.values.extend(image.pixels().iter().map(|&level| weight * f32::from(level)));
    }

    /// Makes the canvas what it was at the beginning.
    pub(super) fn restore(&self, canvas: &mut Canvas<'_>) {
        canvas.edit().copy_from_slice(&self.original);
    }

    /// Adds an image.
    pub(super) fn add(&mut self, image: ImageView<'_>, weight: f32) {
        self.values.iter_mut().zip(image.pixels()).for_each(|(sum, &level)| *sum += weight * f32::from(level));
    }

    /// Makes the canvas the sum, the fraction dropped.
    pub(super) fn finish(&self, canvas: &mut Canvas<'_>) {
        canvas.edit().iter_mut().zip(&self.values).for_each(|(level, &sum)| *level = sum as u8);
    }
}
