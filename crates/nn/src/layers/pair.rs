//! A height and a width.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A height and a width: the size of a map, or a kernel, step or padding along both axes.
///
/// Most are equal, so one number stands for both:
///
/// ```
/// use mp_nn::Pair;
///
/// assert_eq!(Pair::from(3), Pair { height: 3, width: 3 });
/// assert_eq!(Pair::from((1, 7)), Pair { height: 1, width: 7 });
/// assert_eq!(Pair::from((1, 7)).to_string(), "1x7");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    /// Along the rows' axis, `H`.
    pub height: i64,
    /// Along the columns' axis, `W`.
    pub width: i64,
}

impl Pair {
    /// Both, the height first, as libtorch takes them.
    pub(crate) fn both(self) -> [i64; 2] {
        [self.height, self.width]
    }

    /// The one number for both, where there is one.
    pub(crate) fn square(self) -> Option<i64> {
        (self.height == self.width).then_some(self.height)
    }

    /// The number of cells.
    pub(crate) fn area(self) -> i64 {
        self.height * self.width
    }

    /// Each axis by itself: `f(height, other.height)`, `f(width, other.width)`.
    pub(crate) fn zip(self, other: Pair, f: impl Fn(i64, i64) -> i64) -> Pair {
        Pair { height: f(self.height, other.height), width: f(self.width, other.width) }
    }
}

impl From<i64> for Pair {
    fn from(side: i64) -> Self {
        Pair { height: side, width: side }
    }
}

impl From<(i64, i64)> for Pair {
    fn from((height, width): (i64, i64)) -> Self {
        Pair { height, width }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}
