//! Model names: `base[_wWIDTH][_xPATHS[_mechanism] | _eMEMBERS]`.

use std::fmt;
use std::str::FromStr;

use mp_nn::nearest::nearest;
use mp_routing::MAX_PATHS;

use crate::{Error, FAMILIES, Family, models};

/// What is made of a single-path network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// The network itself.
    Single,
    /// `_xP`: P paths, joined at the end only unless a mechanism routes between them.
    Paths {
        /// How many.
        paths: usize,
        /// What flows between them.
        mechanism: Mechanism,
    },
    /// `_eP`: P networks trained each by its own loss, whose probabilities are averaged.
    Ensemble {
        /// How many.
        members: usize,
    },
}

/// What flows between parallel paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Nothing.
    None,
    /// `_cc`: cross-connections.
    CrossConnection,
    /// `_cp`: cross-predictions.
    CrossPrediction,
    /// `_stitch`: cross-connections with learned, input-independent weights.
    Stitch,
}

impl Mechanism {
    fn suffix(self) -> &'static str {
        match self {
            Mechanism::None => "",
            Mechanism::CrossConnection => "_cc",
            Mechanism::CrossPrediction => "_cp",
            Mechanism::Stitch => "_stitch",
        }
    }
}

/// A model's name, taken apart.
///
/// ```
/// use mp_zoo::{Mechanism, ModelName, Variant};
/// let name: ModelName = "resnet20_w28_x3_cc".parse()?;
/// assert_eq!((name.family.name, name.width), ("resnet20", Some(28)));
/// assert_eq!(name.variant, Variant::Paths { paths: 3, mechanism: Mechanism::CrossConnection });
/// # Ok::<(), mp_zoo::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ModelName {
    /// The single-path network.
    pub family: &'static Family,
    /// Channels of the first stage, where the name gives them.
    pub width: Option<i64>,
    /// What is made of it.
    pub variant: Variant,
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let family = FAMILIES
            .iter()
            .find(|f| name == f.name || name.strip_prefix(f.name).is_some_and(|rest| rest.starts_with('_')))
            .ok_or_else(|| unknown(name))?;
        let mut parts = name[family.name.len()..].split('_').skip(1).peekable();
        let mut model = ModelName { family, width: None, variant: Variant::Single };
        if let Some(width) = parts.peek().and_then(|part| numbered(part, 'w')) {
            model.width = Some(within(name, "channels of the first stage", width, 1, 4096)?);
            parts.next();
        }
        if let Some(paths) = parts.peek().and_then(|part| numbered(part, 'x')) {
            let paths = within(name, "paths", paths, 2, MAX_PATHS)? as usize;
            parts.next();
            let mechanism = match parts.peek() {
                None => Mechanism::None,
                Some(&"cc") => Mechanism::CrossConnection,
                Some(&"cp") => Mechanism::CrossPrediction,
                Some(&"stitch") => Mechanism::Stitch,
                Some(part) => return Err(model.unknown_variant(name, part)),
            };
            parts.next();
            model.variant = Variant::Paths { paths, mechanism };
        } else if let Some(members) = parts.peek().and_then(|part| numbered(part, 'e')) {
            model.variant =
                Variant::Ensemble { members: within(name, "members of the ensemble", members, 2, MAX_PATHS)? as usize };
            parts.next();
        }
        match parts.next() {
            None => Ok(model),
            Some(part) => Err(model.unknown_variant(name, part)),
        }
    }
}

impl ModelName {
    fn unknown_variant(&self, name: &str, part: &str) -> Error {
        Error::UnknownVariant { name: name.to_owned(), base: self.family.name.to_owned(), part: format!("_{part}") }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)?;
        if let Some(width) = self.width {
            write!(f, "_w{width}")?;
        }
        match self.variant {
            Variant::Single => Ok(()),
            Variant::Paths { paths, mechanism } => write!(f, "_x{paths}{}", mechanism.suffix()),
            Variant::Ensemble { members } => write!(f, "_e{members}"),
        }
    }
}

/// `w28` with the letter `w` is 28; digits too many for a number are the largest, which every range refuses.
fn numbered(part: &str, letter: char) -> Option<i64> {
    let digits = part.strip_prefix(letter)?;
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(i64::MAX))
}

fn within(name: &str, what: &'static str, value: i64, least: i64, most: i64) -> Result<i64, Error> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    let found = if value == i64::MAX { "more".to_owned() } else { value.to_string() };
    Err(Error::Range { name: name.to_owned(), what, expected: format!("{least} to {most}"), found })
}

fn unknown(name: &str) -> Error {
    let near = nearest(name, models().into_iter().map(|m| m.name), 3);
    let hint = if near.is_empty() {
        let bases: Vec<&str> = FAMILIES.iter().map(|f| f.name).collect();
        format!("names start with one of {}", bases.join(", "))
    } else {
        format!("the nearest are {}", near.join(", "))
    };
    Error::UnknownModel { name: name.to_owned(), hint }
}
