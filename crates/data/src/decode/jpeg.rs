//! JPEG, decoded no further down than somebody looks.

use std::cell::RefCell;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};

use super::{Codec, DecodeError, check, damaged};
use crate::{Image, ImageShape};

/// The marks between which a file's parts lie (ITU-T T.81, table B.1).
const BASELINE_FRAME: u8 = 0xc0;
const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

type Decoder<'a> = JpegDecoder<ZCursor<&'a [u8]>>;

/// The size that the header promises.
pub(super) fn shape(bytes: &[u8]) -> Result<ImageShape, DecodeError> {
    Ok(open(bytes)?.1)
}

/// Decodes at least the first `rows(shape)` rows.
pub(super) fn decode(bytes: &[u8], image: &mut Image, rows: &dyn Fn(ImageShape) -> usize) -> Result<(), DecodeError> {
    let header = Header::read(bytes);
    let shortened = header.frame.as_ref().and_then(|frame| Some((frame, frame.height_for(rows(frame.shape))?)));
    match shortened {
        None => {
            let (decoder, shape) = open(bytes)?;
            finish(decoder, bytes, &header, image.reshape(shape))
        }
        Some((frame, height)) => {
            check(Codec::Jpeg, bytes, frame.shape.width, frame.shape.height)?;
            with_height(bytes, frame, height, |bytes| {
                let (decoder, shape) = open(bytes)?;
                debug_assert_eq!((shape.height, shape.width), (height.into(), frame.shape.width));
                finish(decoder, bytes, &header, &mut image.reshape(frame.shape)[..shape.len()])
            })
        }
    }
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

fn finish(mut decoder: Decoder<'_>, bytes: &[u8], header: &Header, pixels: &mut [u8]) -> Result<(), DecodeError> {
    // The strict mode does not look at the last row of blocks, whose loss shows in the missing end mark only.
    if !header.has_end_of_image(bytes) {
        return Err(DecodeError::Damaged { codec: Codec::Jpeg, reason: "it ends before its end mark".to_owned() });
    }
    decoder.decode_into(pixels).map_err(|error| damaged(Codec::Jpeg, &error))
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

/// Whether a mark starts a frame: of C0 to CF all but the tables of codes, the extension and the conditioning.
fn is_frame(mark: u8) -> bool {
    matches!(mark, 0xc0..=0xcf) && !matches!(mark, 0xc4 | 0xc8 | 0xcc)
}

/// What lies before the coded data.
#[derive(Debug, Default)]
struct Header {
    /// The frame, if its rows are coded one after another, from the first to the last.
    frame: Option<Frame>,
    /// Where the first start of scan is; `None` if there is none.
    scan: Option<usize>,
}

/// The part that says how large a picture is.
#[derive(Debug)]
struct Frame {
    shape: ImageShape,
    /// Where the two bytes of the height are.
    height_at: usize,
    /// Rows of brightness for a row of colour: 1 or 2.
    sampling: usize,
    components: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Self {
        let mut header = Self::default();
        let (mut at, mut frames) = (2, 0);
        loop {
            let rest = &bytes[at.min(bytes.len())..];
            match rest {
                [0xff, 0xff, ..] => at += 1,
                [0xff, START_OF_SCAN, _, _, components, ..] => {
                    // In several scans, the last rows of one component come before the first rows of another.
                    header.frame = header.frame.filter(|frame| frame.components == *components);
                    return Self { scan: Some(at), ..header };
                }
                [0xff, mark, high, low, ..] => {
                    let length = usize::from(u16::from_be_bytes([*high, *low]));
                    if is_frame(*mark) {
                        let content = rest.get(4..2 + length).filter(|_| *mark == BASELINE_FRAME && frames == 0);
                        header.frame = content.and_then(|content| Frame::read(content, at + 4));
                        frames += 1;
                    }
                    at += 2 + length;
                }
                _ => return header,
            }
        }
    }

    /// Whether an end mark comes after the first start of scan. Within coded data every FF is followed by 0 or a restart mark,
    /// so that a mark cannot be there by chance; within the header it can, for instance in a thumbnail.
    fn has_end_of_image(&self, bytes: &[u8]) -> bool {
        self.scan.is_some_and(|scan| bytes[scan..].windows(2).rev().any(|pair| pair == [0xff, END_OF_IMAGE]))
    }
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
        let mut downwards = samplings.chunks_exact(3).map(|component| usize::from(component[1] & 15));
        let sampling = downwards.next()?;
        // Colour is either as detailed as brightness or half as much: other pictures are rare, and decoded whole.
        let usual = matches!(sampling, 1 | 2) && downwards.all(|other| other == 1 || other == sampling);
        (usual && !shape.is_empty()).then_some(Self { shape, height_at: at + 1, sampling, components: *components })
    }

    /// The least height of a picture whose first `rows` are the same as this one's; `None` if that is its own.
    fn height_for(&self, rows: usize) -> Option<u16> {
        // Where colour is half as detailed, a row's is made of the nearest and the next row of it.
        let needed = if self.sampling == 1 { rows } else { rows + self.sampling };
        let height = needed.max(1).next_multiple_of(8 * self.sampling);
        (height < self.shape.height).then_some(height as u16)
    }
}
