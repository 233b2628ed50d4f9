//! Encoded pictures to pixels: JPEG, PNG, WebP and BMP, recognised by their first bytes, always as 3 channels.
//!
//! The result is what Pillow's `convert("RGB")` gives, which public recipes are built on: grey is repeated, a palette is
//! looked up, alpha is dropped without blending, CMYK is taken as Adobe writes it, and of 16 bits the upper 8 are kept
//! (Pillow cuts 16-bit grey at 255 instead). Of an animation it is the first frame. As in torchvision, a rotation noted in
//! EXIF is not applied, and colour profiles are ignored.
//!
//! A picture is never larger than [`MOST_VALUES`], and no memory is taken for more pixels than its bytes can describe, as far
//! as the codec sets a bound.

mod jpeg;

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, Limits};

use crate::image::all_rows;
use crate::{Image, ImageShape, Rows};

/// The most values `H * W * 3` that a picture may have: 89 million pixels.
pub const MOST_VALUES: usize = 1 << 28;

/// What a decoder may take besides the pixels, for colour profiles and texts.
const MOST_EXTRA: u64 = 64 << 20;

/// The endings that pictures have: five of JPEG, then one each.
pub const ENDINGS: [&str; 8] = ["jpg", "jpeg", "jpe", "jfif", "jif", "png", "webp", "bmp"];

/// A way to encode pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// JPEG, baseline or progressive, of 8 bits.
    Jpeg,
    /// PNG of any depth.
    Png,
    /// WebP, lossy or lossless.
    WebP,
    /// Windows bitmap.
    Bmp,
}

impl Codec {
    /// The codec that a picture's first bytes belong to.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [b'B', b'M', ..] => Some(Self::Bmp),
            _ => None,
        }
    }

    /// Whether a file of this name is taken for a picture, by its ending: one of [`ENDINGS`], in any case. Which codec it has is
    /// decided by its bytes.
    pub fn is_named(name: &std::ffi::OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else { return false };
        dot > 0 && ENDINGS.iter().any(|known| known.as_bytes().eq_ignore_ascii_case(&name[dot + 1..]))
    }

    /// No picture of this codec has more pixels for each of its bytes, so a header that promises more is a lie.
    fn most_pixels_per_byte(self) -> usize {
        match self {
            // A block of 8x8 values has a code of at least one bit in the first scan.
            Self::Jpeg => 512,
            // Deflate gives at most 1,032 bytes for one, each of 8 pixels of 1 bit.
            Self::Png => 8 * 1032,
            // One colour takes no more bytes on a large picture than on a small one; so do skipped rows.
            Self::WebP | Self::Bmp => usize::MAX,
        }
    }
}

impl std::fmt::Display for Codec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::WebP => "WebP",
            Self::Bmp => "BMP",
        })
    }
}

/// Why bytes are no picture. Always one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The first bytes are those of something else.
    #[error("expected a JPEG, PNG, WebP or BMP picture, found {found}")]
    Unknown {
        /// What they look like.
        found: String,
    },
    /// The header promises more than [`MOST_VALUES`].
    #[error("a {codec} of {width}x{height} pixels: expected at most {} pixels", MOST_VALUES / 3)]
    TooLarge {
        /// How it is encoded.
        codec: Codec,
        /// Columns that the header promises.
        width: usize,
        /// Rows that the header promises.
        height: usize,
    },
    /// The bytes end too early, or contradict the codec.
    #[error("a damaged {codec}: {reason}")]
    Damaged {
        /// How it is encoded.
        codec: Codec,
        /// What is wrong with it.
        reason: String,
    },
}

/// Decodes a picture into `image`, whose memory is used again: `[H, W, 3]`. After an error the image holds nothing of use.
///
/// # Errors
/// [`DecodeError`]: any bytes give a whole picture or an error. Bytes behind the picture are ignored.
pub fn decode(bytes: &[u8], image: &mut Image) -> Result<(), DecodeError> {
    decode_rows(bytes, image, &all_rows)
}

/// Decodes a picture like [`decode()`], but only the first rows have to be right: as many as `rows` says of the picture's size.
/// The image has its whole size; what the other rows hold is left open.
///
/// A baseline JPEG is decoded no further than that. Other pictures are decoded to the end.
///
/// # Errors
/// As [`decode()`], but for damage that lies behind the rows and leaves the end of the file in place.
pub fn decode_rows(bytes: &[u8], image: &mut Image, rows: Rows<'_>) -> Result<(), DecodeError> {
    let codec = codec(bytes)?;
    let damaged = |error: &dyn std::fmt::Display| damaged(codec, error);
    match codec {
        Codec::Jpeg => jpeg::decode(bytes, image, rows),
        Codec::Png => convert(codec, bytes, png(bytes).map_err(|error| damaged(&error))?, image),
        Codec::WebP => {
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?;
            // The decoder goes on with zeros where the last bytes of a lossy picture are missing.
            let size = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
            if bytes.len() < size.saturating_add(8) {
                return Err(damaged(&format!("it ends after {} of {} bytes", bytes.len(), size.saturating_add(8))));
            }
            convert(codec, bytes, decoder, image)
        }
        Codec::Bmp => {
            convert(codec, bytes, BmpDecoder::new(Cursor::new(bytes)).map_err(|error| damaged(&error))?, image)
        }
    }
}

/// The size that a picture will have, from its header alone.
///
/// # Errors
/// As [`decode()`], where the header shows it.
pub fn shape(bytes: &[u8]) -> Result<ImageShape, DecodeError> {
    let codec = codec(bytes)?;
    let damaged = |error| damaged(codec, &error);
    let (width, height) = match codec {
        Codec::Jpeg => return jpeg::shape(bytes),
        Codec::Png => png(bytes).map_err(damaged)?.dimensions(),
        Codec::WebP => WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?.dimensions(),
        Codec::Bmp => BmpDecoder::new(Cursor::new(bytes)).map_err(damaged)?.dimensions(),
    };
    check(codec, bytes, width as usize, height as usize)
}

fn codec(bytes: &[u8]) -> Result<Codec, DecodeError> {
    Codec::of(bytes).ok_or_else(|| DecodeError::Unknown { found: guess(bytes).to_owned() })
}

/// What people most often have under the name of a picture.
fn guess(bytes: &[u8]) -> &'static str {
    let text = bytes.trim_ascii_start();
    match bytes {
        [] => "no bytes at all",
        [b'G', b'I', b'F', b'8', ..] => "a GIF",
        [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => "a TIFF",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "an AVIF, HEIC or MP4",
        [0, 0, 0, 12, b'j', b'P', ..] => "a JPEG 2000",
        [0x1f, 0x8b, ..] => "a gzip file",
        [b'P', b'K', 3, 4, ..] => "a zip file",
        _ if bytes.iter().all(|&byte| byte == 0) => "only zeros",
        _ if text.starts_with(b"<") => "HTML or XML",
        _ => "bytes of another kind",
    }
}

/// The size, if the limits allow it.
fn check(codec: Codec, bytes: &[u8], width: usize, height: usize) -> Result<ImageShape, DecodeError> {
    let shape = ImageShape { channels: 3, height, width };
    if shape.len() > MOST_VALUES {
        return Err(DecodeError::TooLarge { codec, width, height });
    }
    if width * height > bytes.len().saturating_mul(codec.most_pixels_per_byte()) {
        let reason = format!("{} bytes cannot hold {width}x{height} pixels, as its header says", bytes.len());
        return Err(DecodeError::Damaged { codec, reason });
    }
    Ok(shape)
}

/// A decoder's own words, as a part of a line.
fn damaged(codec: Codec, reason: &dyn std::fmt::Display) -> DecodeError {
    let words = reason.to_string();
    let words: Vec<_> = words.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    DecodeError::Damaged { codec, reason: words.join(" ").trim_matches('"').to_owned() }
}

fn png(bytes: &[u8]) -> image::ImageResult<PngDecoder<Cursor<&[u8]>>> {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MOST_EXTRA);
    PngDecoder::with_limits(Cursor::new(bytes), limits)
}

/// Decodes into the memory of `image`, then brings the values to three bytes a pixel where they lie.
fn convert(codec: Codec, bytes: &[u8], decoder: impl ImageDecoder, image: &mut Image) -> Result<(), DecodeError> {
    let (width, height) = decoder.dimensions();
    let shape = check(codec, bytes, width as usize, height as usize)?;
    let color = decoder.color_type();
    let size = usize::from(color.bytes_per_pixel());
    let pixels = shape.height * shape.width;
    let values = image.reshape(ImageShape { channels: size.max(3), ..shape });
    decoder.read_image(&mut values[..pixels * size]).map_err(|error| damaged(codec, &error))?;

    // Of a value of two bytes, in the machine's order, the upper one.
    let upper = if cfg!(target_endian = "little") { 1 } else { 0 };
    let offsets = match color {
        ColorType::Rgb8 => return Ok(()),
        ColorType::Rgba8 => [0, 1, 2],
        ColorType::L8 | ColorType::La8 => [0; 3],
        ColorType::L16 | ColorType::La16 => [upper; 3],
        ColorType::Rgb16 | ColorType::Rgba16 => [upper, 2 + upper, 4 + upper],
        _ => return Err(damaged(codec, &format!("{color:?} pixels are not supported"))),
    };
    let mut move_pixel = |pixel: usize| {
        let value = offsets.map(|offset| values[pixel * size + offset]);
        values[3 * pixel..3 * pixel + 3].copy_from_slice(&value);
    };
    // Towards the side where there is room, so that nothing is overwritten before it is read.
    if size < 3 {
        (0..pixels).rev().for_each(&mut move_pixel)
    } else {
        (0..pixels).for_each(&mut move_pixel)
    }
    image.reshape(shape);
    Ok(())
}

#[cfg(test)]
mod tests;
