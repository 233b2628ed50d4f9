//! A list of changes, made to image after image.

use super::canvas::{Canvas, Scratch};
use super::normalise::Normalise;
use super::pad_crop::Window;
use super::{Act, Flip, PadCrop, Size, Transform};
use crate::random::Moment;
use crate::{Error, ImageShape, ImageView};

/// Takes images of any size, changes and normalises them, and gives values of one shape.
///
/// What happens to an image is a pure function of its pixels, the settings, the seed, the epoch and the image's position.
/// Every change has its own random numbers: turning one on or off does not alter the others.
#[derive(Debug, Clone)]
pub struct Pipeline {
    channels: usize,
    output: ImageShape,
    normalise: Normalise,
    /// The changes to bytes that need a pass of their own, with how many of their kind come before.
    changes: Vec<(Transform, usize)>,
    /// The last two changes to bytes, where they are these, are made while normalising.
    crop: Option<(PadCrop, usize)>,
    flip: Option<(Flip, usize)>,
    /// The changes to normalised values.
    erasures: Vec<(Transform, usize)>,
    seed: u64,
}

impl Pipeline {
    /// For images of so many channels and, where they all have one, of the `input` size (height, width). Without
    /// `transforms`, images are only normalised. Empty `mean` and `std` scale pixels to 0..1 and do nothing else.
    ///
    /// # Errors
    /// [`Error::Config`] if the statistics are not one finite mean and one positive deviation per channel, a parameter of a
    /// transform is out of its range or does not fit the images, one that hides normalised values comes before one that
    /// changes pixels, or the images that come out are not all of one size.
    pub fn new(
        channels: usize,
        input: Option<(usize, usize)>,
        transforms: &[Transform],
        (mean, std): (&[f32], &[f32]),
        seed: u64,
    ) -> Result<Self, Error> {
        let normalise = Normalise::new(channels, mean, std)?;
        let (mut changes, mut erasures) = (Vec::new(), Vec::new());
        let mut size: Size = input;
        for (position, transform) in transforms.iter().enumerate() {
            let kind = std::mem::discriminant(transform);
            let turn = transforms[..position].iter().filter(|other| std::mem::discriminant(*other) == kind).count();
            match transform.act() {
                Act::Pixels(change) if erasures.is_empty() => {
                    size = change.check(channels, size)?;
                    changes.push((transform.clone(), turn));
                }
                Act::Pixels(_) => {
                    return Err(Error::Config(format!(
                        "transform {} changes pixels after one that hides normalised values: expected it before",
                        position + 1
                    )));
                }
                Act::Values(erase) => {
                    erase.check(Self::shape_of(channels, size)?)?;
                    erasures.push((transform.clone(), turn));
                }
            }
        }
        let output = Self::shape_of(channels, size)?;

        let flip = match changes.last() {
            Some(&(Transform::Flip(flip), turn)) => Some((flip, turn)),
            _ => None,
        };
        changes.truncate(changes.len() - usize::from(flip.is_some()));
        let crop = match changes.last() {
            Some(&(Transform::PadCrop(crop), turn)) => Some((crop, turn)),
            _ => None,
        };
        changes.truncate(changes.len() - usize::from(crop.is_some()));
        Ok(Self { channels, output, normalise, changes, crop, flip, erasures, seed })
    }

    fn shape_of(channels: usize, size: Size) -> Result<ImageShape, Error> {
        let (height, width) = size.ok_or_else(|| {
            Error::Config("the images differ in size: expected a random resized crop or a centre crop".to_owned())
        })?;
        Ok(ImageShape { channels, height, width })
    }

    /// Channels of the images that go in.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The size of the images that come out.
    pub fn output_shape(&self) -> ImageShape {
        self.output
    }

    fn moment(&self, epoch: u64, index: usize, turn: usize) -> Moment {
        Moment { seed: self.seed, epoch, index, turn }
    }

    /// How many of the first rows of an image of `shape`, at `index` in the data set, [`apply`](Self::apply) will look at: all,
    /// but where a random part is cut out first.
    ///
    /// # Panics
    /// If an image of `shape` has no pixels.
    pub fn rows(&self, shape: ImageShape, epoch: u64, index: usize) -> usize {
        assert!(!shape.is_empty(), "an image of {shape}");
        match self.changes.first().map(|(transform, turn)| (transform.act(), *turn)) {
            Some((Act::Pixels(change), turn)) => change.rows(shape, self.moment(epoch, index, turn)),
            _ => shape.height,
        }
    }

    /// Writes what becomes of one image, `[H, W, C]`; `index` is its position in the data set.
    ///
    /// No memory is taken once `scratch` has seen the largest image, but for the resampler's table of weights.
    ///
    /// # Panics
    /// If the image has no pixels, another number of channels, or another size than was promised, or `out` is not of the
    /// length of the output shape.
    pub fn apply(&self, image: ImageView<'_>, epoch: u64, index: usize, scratch: &mut Scratch, out: &mut [f32]) {
        let found = image.shape();
        assert!(found.channels == self.channels && !found.is_empty(), "an image of {found}");
        assert_eq!(out.len(), self.output.len(), "the values of an image of {}", self.output);
        let moment = |turn| self.moment(epoch, index, turn);

        let mut canvas = Canvas::new(image, scratch);
        for (transform, turn) in &self.changes {
            if let Act::Pixels(change) = transform.act() {
                change.apply(&mut canvas, moment(*turn));
            }
        }
        let last = canvas.view();
        assert_eq!(last.shape(), self.output, "an image of the promised size");
        let mirrored = self.flip.is_some_and(|(flip, turn)| flip.mirrors(moment(turn)));
        let (crop, turn) = self.crop.as_ref().map_or((None, 0), |(crop, turn)| (Some(crop), *turn));
        Window::draw(crop, mirrored, moment(turn)).write(last.pixels(), self.output, &self.normalise, out);

        for (transform, turn) in &self.erasures {
            if let Act::Values(erase) = transform.act() {
                erase.apply(self.output, moment(*turn), out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CentreCrop, Cutout, PadMode, RandomResizedCrop};

    const PAD_CROP: Transform = Transform::PadCrop(PadCrop { pad: 2, mode: PadMode::Reflect });
    const FLIP: Transform = Transform::Flip(Flip { alternating: false });
    const CUTOUT: Transform = Transform::Cutout(Cutout { size: 3 });

    fn pipeline(input: Option<(usize, usize)>, transforms: &[Transform]) -> Result<Pipeline, Error> {
        Pipeline::new(3, input, transforms, (&[0.5, 0.4, 0.3], &[0.2, 0.3, 0.4]), 9)
    }

    fn pixels(shape: ImageShape) -> Vec<u8> {
        (0..shape.len()).map(|at| (at * 31 % 251) as u8).collect()
    }

    fn done(pipeline: &Pipeline, shape: ImageShape, epoch: u64, index: usize) -> Vec<f32> {
        let mut out = vec![f32::NAN; pipeline.output_shape().len()];
        pipeline.apply(ImageView::new(shape, &pixels(shape)), epoch, index, &mut Scratch::new(), &mut out);
        out
    }

    #[test]
    fn one_pass_or_several_give_the_same_values() {
        let shape = ImageShape { channels: 3, height: 9, width: 11 };
        let fused = pipeline(Some((9, 11)), &[PAD_CROP, FLIP, CUTOUT]).unwrap();
        assert!(fused.changes.is_empty());
        // The same changes, each in a pass of its own: what was taken into the last pass goes back to the list.
        let mut several = fused.clone();
        several.changes = vec![(PAD_CROP, 0), (FLIP, 0)];
        (several.crop, several.flip) = (None, None);
        for index in 0..50 {
            assert_eq!(done(&fused, shape, 4, index), done(&several, shape, 4, index));
        }
    }

    #[test]
    fn images_of_any_size_become_one() {
        let pipeline = pipeline(None, &[Transform::RandomResizedCrop(RandomResizedCrop::new(8)), FLIP]).unwrap();
        assert_eq!(pipeline.output_shape(), ImageShape { channels: 3, height: 8, width: 8 });
        let mut scratch = Scratch::new();
        for (height, width) in [(30, 20), (1, 50), (8, 8), (50, 1), (3, 3)] {
            let shape = ImageShape { channels: 3, height, width };
            let mut out = vec![f32::NAN; 192];
            pipeline.apply(ImageView::new(shape, &pixels(shape)), 0, 7, &mut scratch, &mut out);
            // What the memory held before does not show.
            assert_eq!(out, done(&pipeline, shape, 0, 7));
            assert!(out.iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn seed_epoch_and_index_each_matter() {
        let shape = ImageShape { channels: 3, height: 32, width: 32 };
        let of = |seed| Pipeline { seed, ..pipeline(Some((32, 32)), &[PAD_CROP, FLIP]).unwrap() };
        let ten = |seed, epoch| (0..10).map(|index| done(&of(seed), shape, epoch, index)).collect::<Vec<_>>();
        assert_eq!(ten(1, 1), ten(1, 1));
        assert_ne!(ten(1, 1), ten(2, 1));
        assert_ne!(ten(1, 1), ten(1, 2));
        assert_ne!(ten(1, 1)[0], ten(1, 1)[1]);
    }

    #[test]
    fn a_change_draws_the_same_whatever_else_is_switched_on() {
        let shape = ImageShape { channels: 3, height: 9, width: 9 };
        let black_in = |transforms| {
            let pipeline = pipeline(Some((9, 9)), transforms).unwrap();
            let values = done(&pipeline, shape, 0, 5);
            values.iter().map(|&value| value == 0.0).collect::<Vec<_>>()
        };
        assert_eq!(black_in(&[CUTOUT]), black_in(&[PAD_CROP, FLIP, CUTOUT]));
        // A second one of the same kind has numbers of its own.
        assert_ne!(black_in(&[CUTOUT, CUTOUT]), black_in(&[CUTOUT]));
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let pad = |pad| Transform::PadCrop(PadCrop { pad, mode: PadMode::Zero });
        let crop = |scale| Transform::RandomResizedCrop(RandomResizedCrop { scale, ..RandomResizedCrop::new(8) });
        let size = Some((3, 4));
        for (input, transforms, message) in [
            (None, vec![], "the images differ in size: expected a random resized crop or a centre crop"),
            (
                None,
                vec![PAD_CROP],
                "augment.pad needs images of one size: expected a random resized crop or a centre crop before it",
            ),
            (
                size,
                vec![pad(3)],
                "augment.pad is 3: expected less than 3, the side of images of 3x4, or nothing of them may be left",
            ),
            (
                size,
                vec![Transform::Cutout(Cutout { size: 4 })],
                "augment.cutout is 4: expected 1 to 3, the side of images of 3x4x3",
            ),
            (
                size,
                vec![CUTOUT, FLIP],
                "transform 2 changes pixels after one that hides normalised values: expected it before",
            ),
            (
                size,
                vec![crop([0.5, 0.2])],
                "augment.random_resized_crop.scale is [0.5, 0.2]: expected [low, high] between 0.0001 and 1",
            ),
            (
                size,
                vec![Transform::CentreCrop(CentreCrop { size: 0 })],
                "augment.centre_crop.size is 0: expected 1 to 16384 pixels",
            ),
        ] {
            assert_eq!(pipeline(input, &transforms).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_list_has_a_toml_form() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct List {
            transforms: Vec<Transform>,
        }
        let text = "[[transforms]]\nkind = \"random_resized_crop\"\nsize = 112\n\n[[transforms]]\nkind = \"flip\"\n";
        let list: List = toml::from_str(text).unwrap();
        assert_eq!(list.transforms, [Transform::RandomResizedCrop(RandomResizedCrop::new(112)), FLIP]);
        assert_eq!(toml::from_str::<List>(&toml::to_string(&list).unwrap()).unwrap(), list);
        let misspelt = toml::from_str::<List>("[[transforms]]\nkind = \"flip\"\nalternate = true").unwrap_err();
        assert!(misspelt.message().contains("unknown field `alternate`"), "{misspelt}");
    }
}
