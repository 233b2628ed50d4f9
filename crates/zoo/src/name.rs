//! Model names: `base[_knob][_xPATHS[_mechanism] | _eMEMBERS]`.

use std::fmt;
use std::str::FromStr;

use mp_nn::nearest::nearest;
use mp_routing::MAX_PATHS;

use crate::{Error, Family, Make, Mechanism, Size, families, mechanisms, models};

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
        mechanism: Option<&'static Mechanism>,
    },
    /// `_eP`: P networks trained each by its own loss, whose probabilities are averaged.
    Ensemble {
        /// How many.
        members: usize,
    },
}

/// A model's name, taken apart.
///
/// ```
/// use mp_zoo::{Mechanism, ModelName, Variant};
/// let name: ModelName = "resnet20_w28_x3_cc".parse()?;
/// assert_eq!((name.family.name, name.size), ("resnet20", Some(28)));
/// assert_eq!(name.variant, Variant::Paths { paths: 3, mechanism: Mechanism::of("cc") });
/// # Ok::<(), mp_zoo::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ModelName {
    /// The single-path network.
    pub family: &'static Family,
    /// The number of the family's knob, where the name gives it.
    pub size: Option<i64>,
    /// What is made of it.
    pub variant: Variant,
}

impl FromStr for ModelName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let is_base = |f: &&Family| name == f.name || name.strip_prefix(f.name).is_some_and(|r| r.starts_with('_'));
        // The longest: `vgg16_bn` is no variant of `vgg16`.
        let family = families().into_iter().filter(is_base).max_by_key(|f| f.name.len());
        let family = family.ok_or_else(|| unknown(name))?;
        let mut parts = name[family.name.len()..].split('_').skip(1).peekable();
        let mut model = ModelName { family, size: None, variant: Variant::Single };
        let knob = &family.knob;
        if let Some(size) = parts.peek().and_then(|part| knob.parse(part)) {
            model.size = Some(within(name, knob.what, size, knob.least, knob.most)?);
            parts.next();
        }
        if let Some(paths) = parts.peek().and_then(|part| numbered(part, "x")) {
            if matches!(family.make, Make::Whole(_)) {
                return Err(Error::NotAChain { name: name.to_owned(), base: family.name.to_owned() });
            }
            let paths = within(name, "paths", paths, 2, MAX_PATHS)? as usize;
            parts.next();
            let mechanism = match parts.next() {
                None => None,
                Some(part) => Some(Mechanism::of(part).ok_or_else(|| model.unknown_variant(name, part))?),
            };
            model.variant = Variant::Paths { paths, mechanism };
        } else if let Some(members) = parts.peek().and_then(|part| numbered(part, "e")) {
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
    /// How large its single-path network is.
    pub fn size(&self) -> Size {
        let Family { name, knob, .. } = *self.family;
        Size { name, value: self.size.unwrap_or(knob.default), published: knob.default }
    }

    /// The endings that a family's names can have, as in `_wN][_xPATHS[_cc|_cp]`, without the outer brackets.
    pub fn grammar(family: &Family) -> String {
        let knob = family.knob.grammar();
        match family.make {
            Make::Whole(_) => format!("[{knob}][_eMEMBERS]"),
            Make::Chain(_) => {
                let mechanisms: Vec<String> = mechanisms().iter().map(|m| format!("_{}", m.suffix)).collect();
                format!("[{knob}][_xPATHS[{}] | _eMEMBERS]", mechanisms.join("|"))
            }
        }
    }

    fn unknown_variant(&self, name: &str, part: &str) -> Error {
        let base = self.family.name;
        let example = match self.family.make {
            Make::Chain(_) => format!("{base}_x3_cc"),
            Make::Whole(_) => format!("{base}_e3"),
        };
        Error::UnknownVariant {
            name: name.to_owned(),
            expected: format!("{base}{}", ModelName::grammar(self.family)),
            example,
            part: format!("_{part}"),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)?;
        if let Some(size) = self.size {
            write!(f, "_{}{size}", self.family.knob.letter)?;
        }
        match self.variant {
            Variant::Single => Ok(()),
            Variant::Paths { paths, mechanism: None } => write!(f, "_x{paths}"),
            Variant::Paths { paths, mechanism: Some(mechanism) } => write!(f, "_x{paths}_{}", mechanism.suffix),
            Variant::Ensemble { members } => write!(f, "_e{members}"),
        }
    }
}

/// `x3` with the letter `x` is 3; digits too many for a number are the largest, which every range refuses.
pub(crate) fn numbered(part: &str, letter: &str) -> Option<i64> {
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

/// Families that a message names where no name is near.
const SHOWN: usize = 4;

fn unknown(name: &str) -> Error {
    let near = nearest(name, models().into_iter().map(|m| m.name), 3);
    let hint = if near.is_empty() {
        let bases: Vec<&str> = families().iter().map(|f| f.name).collect();
        let some = bases.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        format!("names start with one of {} families, such as {some}", bases.len())
    } else {
        format!("the nearest are {}", near.join(", "))
    };
    Error::UnknownModel { name: name.to_owned(), hint }
}
