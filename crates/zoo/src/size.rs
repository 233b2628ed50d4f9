//! The one number that scales a family: its width, growth or widening factor.

use crate::Error;
use crate::name::numbered;

/// The number in a name that scales a family: `w28` in `resnet20_w28`, `k12` in `densenet40_k12`, `2` in `wrn16_2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knob {
    /// What stands before the number; empty for the number alone.
    pub letter: &'static str,
    /// What stands for the number in the grammar of names.
    pub number: &'static str,
    /// What the number counts.
    pub what: &'static str,
    /// The number that a name without one means.
    pub default: i64,
    /// The least that is taken.
    pub least: i64,
    /// The most that is taken.
    pub most: i64,
}

impl Knob {
    /// Channels of the first stage, by `_wN`; `default` is the published network's.
    pub const fn width(default: i64) -> Self {
        Knob { letter: "w", number: "WIDTH", what: "channels of the first stage", default, least: 1, most: 4096 }
    }

    /// Maps that a layer adds, by `_kN`.
    pub const fn growth(default: i64) -> Self {
        Knob { letter: "k", number: "GROWTH", what: "growth rate", default, least: 1, most: 1024 }
    }

    /// Times as wide as the plain network, by `_N`.
    pub const fn factor(default: i64) -> Self {
        Knob { letter: "", number: "FACTOR", what: "widening factor", default, least: 1, most: 64 }
    }

    /// How it is written in a name: `_wWIDTH`.
    pub fn grammar(&self) -> String {
        format!("_{}{}", self.letter, self.number)
    }

    /// The number of a part of a name, `w28`; `None` if the part is none.
    pub(crate) fn parse(&self, part: &str) -> Option<i64> {
        numbered(part, self.letter)
    }
}

/// How large a network of a family is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The family's name, from which depths are read.
    pub name: &'static str,
    /// The knob's number.
    pub value: i64,
    /// The number of the published network.
    pub published: i64,
}

impl Size {
    /// A width of the published network, scaled as the knob says and rounded to a multiple, of which at least one is left;
    /// as it is for the published network. Halves go to the even neighbour.
    ///
    /// ```
    /// use mp_zoo::Size;
    /// let size = Size { name: "alexnet", value: 16, published: 64 };
    /// assert_eq!((size.scaled(192, 4), size.scaled(6, 4)), (48, 4));
    /// ```
    pub fn scaled(&self, width: i64, multiple: i64) -> i64 {
        if self.value == self.published {
            return width;
        }
        let exact = width as f64 * self.value as f64 / self.published as f64;
        multiple * ((exact / multiple as f64).round_ties_even() as i64).max(1)
    }

    /// The number that the family's name ends its letters with: 20 of `resnet20`.
    ///
    /// # Errors
    /// A name without one, which is a fault of the family's entry.
    pub fn depth(&self) -> Result<i64, Error> {
        let digits = self.name.trim_start_matches(|c: char| !c.is_ascii_digit());
        let digits = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        digits.parse().map_err(|_| Error::Input { name: self.name.to_owned(), problem: "has no depth".to_owned() })
    }
}
