//! JPEG, decoded no further down than somebody looks.

use std::cell::RefCell;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::{Codec, DecodeError, check, damaged};
use crate::{Image, ImageShape, Rows};

/// The marks between which a file's parts lie (ITU-T T.81, table B.1).
const BASELINE_FRAME: u8 = 0xc0;
const EXTENDED_FRAME: u8 = 0xc1;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// The size that the header promises.
pub(super) fn shape(bytes: &[u8]) -> Result<ImageShape, DecodeError> {
    Ok(open(bytes)?.1)
}

/// Decodes at least the first `rows(shape)` rows.
pub(super) fn decode(bytes: &[u8], image: &mut Image, rows: Rows<'_>) -> Result<(), DecodeError> {
    let header = Header::read(bytes);
    let Some(frame) = &header.frame else {
        let (mut decoder, shape) = open(bytes)?;
        header.check_end(bytes)?;
        return decoder.decode_into(image.reshape(shape)).map_err(|error| damaged(Codec::Jpeg, &error));
    };
    let shape = check(Codec::Jpeg, bytes, frame.shape.width, frame.shape.height)?;
    header.check_end(bytes)?;
    let pixels = image.reshape(shape);
    match frame.height_for(rows(shape)) {
        None => write_rows(bytes, &header, pixels),
        Some(height) => {
            let part = ImageShape { height: height.into(), ..shape };
            with_height(bytes, frame, height, |bytes| write_rows(bytes, &header, &mut pixels[..part.len()]))
        }
    }
}

/// Writes all pixels of a picture whose rows are coded one after another, or fails.
fn write_rows(bytes: &[u8], header: &Header, pixels: &mut [u8]) -> Result<(), DecodeError> {
    let decode = |pixels: &mut [u8]| open(bytes)?.0.decode_into(pixels).map_err(|error| damaged(Codec::Jpeg, &error));
    decode(pixels)?;
    if header.behind_scan == Some(END_OF_IMAGE) {
        return Ok(());
    }
    // The decoder takes some marks for the end, wherever they are, and leaves the rest as it was: what it does not write
    // differs over other memory.
    let first = pixels.to_vec();
    pixels.iter_mut().for_each(|level| *level = !*level);
    decode(pixels)?;
    if pixels == first { Ok(()) } else { Err(incomplete("its coded data break off")) }
}

fn incomplete(reason: &str) -> DecodeError {
    DecodeError::Damaged { codec: Codec::Jpeg, reason: reason.to_owned() }
}

fn open(bytes: &[u8]) -> Result<(Decoder<'_>, ImageShape), DecodeError> {
    // Without the strict mode a file that ends early is a picture with a grey rest.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| damaged(Codec::Jpeg, &error))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    let shape = check(Codec::Jpeg, bytes, width, height)?;
    Ok((decoder, shape))
}

/// Lends `work` the bytes of a picture that says it has fewer rows. A decoder stops after these and leaves the rest alone.
fn with_height<T>(bytes: &[u8], frame: &Frame, height: u16, work: impl FnOnce(&[u8]) -> T) -> T {
    thread_local! {
        static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    COPY.with_borrow_mut(|copy| {
        copy.clear();
        copy.extend_from_slice(bytes);
        copy[frame.height_at..][..2].copy_from_slice(&height.to_be_bytes());
        work(copy)
    })
}

/// What lies before and directly behind the coded data.
#[derive(Debug, Default)]
struct Header {
    /// The frame, if its rows are coded one after another, from the first to the last, in one scan.
    frame: Option<Frame>,
    /// Where the coded data of the first scan begin; `None` if there is none.
    scan: Option<usize>,
    /// The first mark behind these.
    behind_scan: Option<u8>,
}

/// The part that says how large a picture is.
#[derive(Debug)]
struct Frame {
    shape: ImageShape,
    /// Where the two bytes of the height are.
    height_at: usize,
    /// Rows of brightness for a row of the least detailed colour.
    sampling: usize,
    components: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Self {
        let mut header = Self::default();
        let mut at = 2;
        loop {
            let rest = &bytes[at.min(bytes.len())..];
            let [0xff, mark, rest @ ..] = rest else { return header };
            if *mark == 0xff {
                at += 1;
                continue;
            }
            let [high, low, ..] = rest else { return header };
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let content = rest.get(2..length).unwrap_or_default();
            match *mark {
                BASELINE_FRAME | EXTENDED_FRAME => header.frame = Frame::read(content, at + 4),
                START_OF_SCAN => {
                    // In several scans, the last rows of one component come before the first rows of another.
                    header.frame = header.frame.filter(|frame| content.first() == Some(&frame.components));
                    let scan = at + 2 + length;
                    return Self { scan: Some(scan), behind_scan: bytes.get(scan..).and_then(mark_behind), ..header };
                }
                _ => {}
            }
            at += 2 + length;
        }
    }

    /// Fails unless an end mark comes after the first start of scan. The decoder's strict mode does not look at the last row of
    /// blocks, whose loss shows in nothing else. The mark need not be the first there, but it cannot be there by chance, as it
    /// can within the header, for instance in a thumbnail.
    fn check_end(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        let coded = self.scan.and_then(|scan| bytes.get(scan..)).unwrap_or_default();
        let ends =
            self.behind_scan == Some(END_OF_IMAGE) || coded.windows(2).rev().any(|pair| pair == [0xff, END_OF_IMAGE]);
        if ends { Ok(()) } else { Err(incomplete("it ends before its end mark")) }
    }
}

/// The first mark behind coded data, within which every FF is followed by 0 or a restart mark.
fn mark_behind(coded: &[u8]) -> Option<u8> {
    memchr::memchr_iter(0xff, coded)
        .filter_map(|at| coded.get(at + 1).copied())
        .find(|mark| !matches!(mark, 0 | 0xd0..=0xd7 | 0xff))
}

impl Frame {
    /// Reads what follows the mark and the length; it lies at `at`.
    fn read(content: &[u8], at: usize) -> Option<Self> {
        let [8, high, low, left, right, components, samplings @ ..] = content else { return None };
        let shape = ImageShape {
            channels: 3,
            height: u16::from_be_bytes([*high, *low]).into(),
            width: u16::from_be_bytes([*left, *right]).into(),
        };
        let sampling = samplings.chunks_exact(3).map(|component| usize::from(component[1] & 15)).max()?;
        (!shape.is_empty()).then_some(Self { shape, height_at: at + 1, sampling, components: *components })
    }

    /// The least height of a picture whose first `rows` are the same as this one's; `None` if that is its own.
    fn height_for(&self, rows: usize) -> Option<u16> {
        // Where colour is half as detailed, a row's is made of the nearest and the next row of it. Less detail is rare.
        let needed = match self.sampling {
            1 => rows,
            2 => rows + 2,
            _ => return None,
        };
        let height = needed.max(1).next_multiple_of(8 * self.sampling);
        (height < self.shape.height).then_some(height as u16)
    }
}
