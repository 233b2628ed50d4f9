//! What goes into a model and what it is asked for.

use mp_blocks::Shape;
use serde::{Deserialize, Serialize};

/// Square images and a number of classes: what an image classifier is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSize {
    /// Channels of an image.
    pub channels: i64,
    /// Height and width of an image.
    pub size: i64,
    /// Classes `N`.
    pub classes: i64,
}

/// What a head of a model tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// One of so many classes for an image.
    Classes(i64),
    /// One of so many classes for each pixel.
    Pixels(i64),
    /// An image of the input's shape.
    Image,
}

impl Target {
    /// Classes to tell apart; 1 where there are none.
    pub fn classes(&self) -> i64 {
        match *self {
            Target::Classes(classes) | Target::Pixels(classes) => classes,
            Target::Image => 1,
        }
    }
}

/// What goes into a model, and what its heads tell.
///
/// ```
/// use mp_blocks::Shape;
/// use mp_zoo::{InputSize, Interface};
///
/// let square: Interface = InputSize { channels: 3, size: 32, classes: 10 }.into();
/// let wide = Interface::classes(Shape::Map { channels: 3, height: 32, width: 64 }, 10);
/// assert_eq!((square.input.extent(), wide.input.extent()), ((32, 32), (32, 64)));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The shape of an image.
    pub input: Shape,
    /// The heads by their names; the first is what accuracy is measured on.
    pub heads: Vec<(String, Target)>,
}

impl Interface {
    /// A classifier with one head, named `class`.
    pub fn classes(input: Shape, classes: i64) -> Self {
        Interface { input, heads: vec![("class".to_owned(), Target::Classes(classes))] }
    }

    /// Classes of the first head.
    pub(crate) fn first_classes(&self) -> i64 {
        self.heads.first().map_or(1, |(_, target)| target.classes())
    }

    /// The same with images of another height and width.
    #[must_use]
    pub fn with_size(&self, size: i64) -> Self {
        Interface { input: Shape::square(self.input.channels(), size), heads: self.heads.clone() }
    }
}

impl From<InputSize> for Interface {
    fn from(InputSize { channels, size, classes }: InputSize) -> Self {
        Interface::classes(Shape::square(channels, size), classes)
    }
}
