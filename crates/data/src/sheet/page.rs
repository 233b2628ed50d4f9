//! A white page with text and images on it.

use fast_image_resize::images::{Image as Resized, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::ImageView;

/// The height of a line of text.
pub(super) const LINE: usize = 20;
const FONT: RasterHeight = RasterHeight::Size16;

/// How text is set.
#[derive(Clone, Copy)]
pub(super) enum Ink {
    /// Bold and dark.
    Strong,
    /// Regular and grey.
    Faint,
}

/// Where a line of text may stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
}

impl Place {
    /// What is left of it behind text that ends at `x`, and a space.
    pub(super) fn after(self, x: usize) -> Self {
        let x = x + letter_width();
        Self { x, width: (self.x + self.width).saturating_sub(x), ..self }
    }
}

fn letter_width() -> usize {
    get_raster_width(FontWeight::Regular, FONT)
}

/// The width of a line of text.
pub(super) fn width_of(text: &str) -> usize {
    text.chars().count() * letter_width()
}

/// Three bytes a pixel.
pub(super) struct Page {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Page {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![255; width * height * 3] }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn height(&self) -> usize {
        self.height
    }

    pub(super) fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Writes one line, cut with `..` where the place is too narrow, and returns where it ends.
    pub(super) fn text(&mut self, text: &str, place: Place, ink: Ink) -> usize {
        let (weight, darkness) = match ink {
            Ink::Strong => (FontWeight::Bold, 235),
            Ink::Faint => (FontWeight::Regular, 140),
        };
        let fitting = place.width / letter_width();
        let mut letters: Vec<char> = text.chars().collect();
        if letters.len() > fitting {
            letters.truncate(fitting.saturating_sub(2));
            letters.extend("..".chars().take(fitting));
        }
        let mut x = place.x;
        for letter in letters {
            let Some(raster) = get_raster(letter, weight, FONT).or_else(|| get_raster('?', weight, FONT)) else {
                continue;
            };
            for (row, line) in raster.rows().enumerate() {
                for (column, &intensity) in line.iter().enumerate() {
                    let grey = 255 - u16::from(intensity) * darkness / 255;
                    self.dot(x + column, place.y + row, [grey as u8; 3]);
                }
            }
            x += raster.width();
        }
        x
    }

    /// Draws an image into the middle of a square.
    pub(super) fn image(&mut self, image: ImageView<'_>, x: usize, y: usize, cell: usize) {
        let (width, height) = (image.shape().width, image.shape().height);
        let (rgb, times) = (colours(image), cell / width.max(height).max(1));
        if times > 0 {
            let (left, top) = (x + (cell - width * times) / 2, y + (cell - height * times) / 2);
            for row in 0..height * times {
                for column in 0..width * times {
                    self.dot(left + column, top + row, pixel(&rgb, width, column / times, row / times));
                }
            }
            return;
        }
        let longer = width.max(height);
        let scaled = |side: usize| (side * cell / longer).max(1);
        let (to_width, to_height) = (scaled(width), scaled(height));
        let Some(rgb) = shrunk(&rgb, (width, height), (to_width, to_height)) else { return self.cross(x, y, cell) };
        let (left, top) = (x + (cell - to_width) / 2, y + (cell - to_height) / 2);
        for row in 0..to_height {
            for column in 0..to_width {
                self.dot(left + column, top + row, pixel(&rgb, to_width, column, row));
            }
        }
    }

    /// Draws a crossed box.
    pub(super) fn cross(&mut self, x: usize, y: usize, cell: usize) {
        const RED: [u8; 3] = [200, 60, 50];
        for step in 0..cell {
            for (column, row) in
                [(step, step), (step, cell - 1 - step), (step, 0), (step, cell - 1), (0, step), (cell - 1, step)]
            {
                self.dot(x + column, y + row, RED);
            }
        }
    }

    /// What lies beyond the page is dropped.
    fn dot(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x < self.width && y < self.height {
            self.pixels[(y * self.width + x) * 3..][..3].copy_from_slice(&colour);
        }
    }
}

fn pixel(rgb: &[u8], width: usize, column: usize, row: usize) -> [u8; 3] {
    let at = (row * width + column) * 3;
    [rgb[at], rgb[at + 1], rgb[at + 2]]
}

/// Three channels, whatever the image has: of two or more than three, the first is shown as grey.
fn colours(image: ImageView<'_>) -> Vec<u8> {
    match image.shape().channels {
        3 => image.pixels().to_vec(),
        channels => image.pixels().chunks_exact(channels.max(1)).flat_map(|pixel| [pixel[0]; 3]).collect(),
    }
}

/// Scaled down with the resizing library's antialiasing; `None` if it refuses the sizes.
fn shrunk(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Option<Vec<u8>> {
    let side = |side: usize| u32::try_from(side).ok();
    let source = ImageRef::new(side(from.0)?, side(from.1)?, rgb, PixelType::U8x3).ok()?;
    let mut target = Resized::new(side(to.0)?, side(to.1)?, PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
    Resizer::new().resize(&source, &mut target, &options).ok()?;
    Some(target.into_vec())
}
