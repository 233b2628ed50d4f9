//! The augmentation of a recipe: a table with one key for each change.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::crop::{default_ratio, default_scale};
use super::{AugmentConfig, Centred, Flip, Interpolation, PadCrop, RandomResizedCrop, Transform};

macro_rules! augment_config {
    ($($transform:ident, $key:ident: $written:ty;)*) => {
        /// Which random changes are made to a training image, in the order of the keys. The default is none at all.
        ///
        /// The usual recipe for CIFAR is to pad 4 and to flip. [`transforms`](Self::transforms) gives them as the list that a
        /// [`Pipeline`](crate::Pipeline) takes; for another order, write such a list.
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct AugmentConfig {
            /// A random part of the image, resized: [`RandomResizedCrop`].
            #[serde(skip_serializing_if = "Option::is_none")]
            pub random_resized_crop: Option<CropRange>,
            /// Pixels added on every side before an image of the old size is cut from a random place; 0 turns it off: [`PadCrop`].
            pub pad: usize,
            /// What they are.
            pub pad_mode: PadMode,
            /// Whether, and which, images are mirrored: [`Flip`].
            pub flip: FlipRule,
            $(
                #[doc = concat!("[`", stringify!($transform), "`], where it is on.")]
                #[serde(skip_serializing_if = "Key::is_absent")]
                pub $key: $written,
            )*
        }

        impl AugmentConfig {
            /// Every change on, as each is by default: a table that has every key.
            pub fn complete() -> Self {
                Self {
                    random_resized_crop: Some(CropRange::default()),
                    pad: 1,
                    pad_mode: PadMode::default(),
                    flip: FlipRule::Random,
                    $($key: Key::on(),)*
                }
            }

            /// The changes of the keys that turn on one each.
            fn of_keys(&self) -> impl Iterator<Item = Transform> {
                [$(Key::change(&self.$key),)*].into_iter().flatten()
            }
        }
    };
}

pub(super) use augment_config;

/// A [`RandomResizedCrop`] but for its size, which is that of all images of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CropRange {
    /// Least and greatest area, as a share of the image's.
    pub scale: [f64; 2],
    /// Least and greatest width over height.
    pub ratio: [f64; 2],
    /// The filter.
    pub interpolation: Interpolation,
}

impl Default for CropRange {
    fn default() -> Self {
        Self { scale: default_scale(), ratio: default_ratio(), interpolation: Interpolation::default() }
    }
}

/// Whether, and which, images are mirrored: `false`, `true` or `"alternating"` in a recipe.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlipRule {
    /// None.
    #[default]
    Never,
    /// A random half of each epoch.
    Random,
    /// A random half, then the other half, and so on.
    Alternating,
}

impl Serialize for FlipRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_bool(false),
            Self::Random => serializer.serialize_bool(true),
            Self::Alternating => serializer.serialize_str("alternating"),
        }
    }
}

impl<'de> Deserialize<'de> for FlipRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected false, true or \"alternating\"")]
        enum Written {
            Switch(bool),
            Word(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Switch(false) => Ok(Self::Never),
            Written::Switch(true) => Ok(Self::Random),
            Written::Word(word) if word == "alternating" => Ok(Self::Alternating),
            Written::Word(word) => Err(D::Error::unknown_variant(&word, &["false", "true", "alternating"])),
        }
    }
}

impl AugmentConfig {
    /// The changes as a list that gives images of `size` pixels a side, or, without it, of the size that comes in.
    ///
    /// Images that are to have another size are resized and cropped at the centre where no random part is cut out. With
    /// neither a size nor images of one size, a random resized crop has nothing to resize to and is left out.
    pub fn transforms(&self, input: Option<(usize, usize)>, size: Option<usize>) -> Vec<Transform> {
        let side = size.or(input.map(|(height, width)| height.min(width)));
        let mut list = match (&self.random_resized_crop, side) {
            (Some(CropRange { scale, ratio, interpolation }), Some(size)) => {
                let crop = RandomResizedCrop { size, scale: *scale, ratio: *ratio, interpolation: *interpolation };
                vec![Transform::RandomResizedCrop(crop)]
            }
            _ => size.filter(|&size| input != Some((size, size))).map_or_else(Vec::new, |size| vec![whole(size)]),
        };
        if self.pad > 0 {
            list.push(Transform::PadCrop(PadCrop { pad: self.pad, mode: self.pad_mode }));
        }
        match self.flip {
            FlipRule::Never => {}
            rule => list.push(Transform::Flip(Flip { alternating: rule == FlipRule::Alternating })),
        }
        list.extend(self.of_keys());
        list
    }
}

/// The largest square in the middle, brought to `size`.
fn whole(size: usize) -> Transform {
    Transform::Centred(Centred { size, share: 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cutout, PadMode};

    fn parse(text: &str) -> Result<AugmentConfig, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn a_table_becomes_a_list_in_the_order_of_the_keys() {
        let config = parse("cutout = 8\nflip = \"alternating\"\npad = 4\npad_mode = \"reflect\"").unwrap();
        let expected = [
            Transform::PadCrop(PadCrop { pad: 4, mode: PadMode::Reflect }),
            Transform::Flip(Flip { alternating: true }),
            Transform::Cutout(Cutout { size: 8 }),
        ];
        assert_eq!(config.transforms(Some((32, 32)), None), expected);
        assert_eq!(config.transforms(Some((32, 32)), Some(32)), expected);
        // A size of its own asks for a resize first.
        assert_eq!(config.transforms(None, Some(64))[..1], [whole(64)]);
        assert_eq!(parse("").unwrap().transforms(Some((32, 32)), None), []);
    }

    #[test]
    fn every_key_gives_one_change() {
        let list = AugmentConfig::complete().transforms(None, Some(32));
        let kinds = list.iter().map(|transform| match toml::Value::try_from(transform).unwrap() {
            toml::Value::Table(table) => table["kind"].as_str().unwrap().to_owned(),
            other => panic!("{other}"),
        });
        let expected = "random_resized_crop pad_crop flip auto_augment rand_augment trivial_augment aug_mix \
                        colour_jitter greyscale gaussian_blur cutout random_erasing";
        assert_eq!(kinds.collect::<Vec<_>>().join(" "), expected);
        // The defaults are within their ranges.
        crate::Pipeline::new(3, None, &list, (&[], &[]), 0).unwrap();
    }

    #[test]
    fn a_random_part_takes_the_size_of_the_recipe_or_of_the_images() {
        let config = parse("random_resized_crop = { scale = [0.5, 1.0] }").unwrap();
        let crop = |size| {
            let crop = RandomResizedCrop { scale: [0.5, 1.0], ..RandomResizedCrop::new(size) };
            vec![Transform::RandomResizedCrop(crop)]
        };
        assert_eq!(config.transforms(None, Some(112)), crop(112));
        assert_eq!(config.transforms(Some((32, 32)), None), crop(32));
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "",
            "pad = 4\nflip = true",
            "flip = \"alternating\"\n[random_resized_crop]",
            "cutout = 3\n[auto_augment]\npolicy = \"cifar\"\n[random_erasing]\nfill = \"noise\"",
        ] {
            let config = parse(text).unwrap();
            assert_eq!(parse(&toml::to_string(&config).unwrap()).unwrap(), config, "{text}");
        }
    }

    #[test]
    fn a_wrong_flip_lists_the_right_ones() {
        let message = parse("flip = \"alternate\"").unwrap_err().message().to_owned();
        assert_eq!(message, "unknown variant `alternate`, expected one of `false`, `true`, `alternating`");
        assert_eq!(parse("flip = 2").unwrap_err().message(), "expected false, true or \"alternating\"");
    }
}
