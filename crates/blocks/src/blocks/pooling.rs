//! Pooling and flattening, after other layers or as a block of their own.

use mp_nn::{AvgPool2d, MaxPool2d, Mode, Module, Params, Tensor, adaptive_avg_pool2d, global_avg_pool};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// One step from maps to smaller maps, or to a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest of each window.
    Max(MaxPool2d),
    /// The mean of each window.
    Average(AvgPool2d),
    /// The means of as many windows along each axis as this, whatever the size of the map.
    Adaptive(i64),
    /// The mean over height and width; the output is `[B, C]`.
    GlobalAverage,
    /// All numbers of an image in one vector `[B, C H W]`, channel by channel and row by row.
    Flatten,
}

impl Pooling {
    /// Windows of the given side and step, without padding.
    pub fn max(kernel: i64, stride: i64) -> Self {
        Pooling::Max(MaxPool2d::new(kernel, stride))
    }

    /// The same, with a last window that the map does not fill: Caffe's rounding.
    pub fn max_ceil(kernel: i64, stride: i64) -> Self {
        Pooling::Max(MaxPool2d { ceil: true, ..MaxPool2d::new(kernel, stride) })
    }

    /// The shape that the step gives.
    ///
    /// # Errors
    /// A shape that is no map, or a map that is too small.
    pub fn output(self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a pooling")?;
        let sides = |side: &dyn Fn(i64) -> Result<i64, mp_nn::Error>| match (side(height), side(width)) {
            (Ok(height), Ok(width)) => Ok(Shape::Map { channels, height, width }),
            _ => Err(Error::too_small("a pooling", input)),
        };
        match self {
            Pooling::Max(pool) => sides(&|side| pool.output_size(side)),
            Pooling::Average(pool) => sides(&|side| pool.output_size(side)),
            Pooling::Adaptive(size) => Ok(Shape::square(channels, size)),
            Pooling::GlobalAverage => Ok(Shape::Vector(channels)),
            Pooling::Flatten => Ok(Shape::Vector(channels * height * width)),
        }
    }

    /// The shape that several steps give one after the other.
    pub(super) fn output_of(steps: &[Pooling], input: Shape) -> Result<Shape, Error> {
        steps.iter().try_fold(input, |shape, step| step.output(shape))
    }

    /// Applies the step.
    ///
    /// # Panics
    /// Where [`Pooling::output`] is an error.
    pub fn forward(self, x: &Tensor) -> Tensor {
        match self {
            Pooling::Max(pool) => pool.forward(x, Mode::Eval),
            Pooling::Average(pool) => pool.forward(x, Mode::Eval),
            Pooling::Adaptive(size) => adaptive_avg_pool2d(x, size),
            Pooling::GlobalAverage => global_avg_pool(x),
            Pooling::Flatten => x.flatten(1, -1),
        }
    }

    /// Applies several steps one after the other.
    pub(super) fn forward_all(steps: &[Pooling], x: Tensor) -> Tensor {
        steps.iter().fold(x, |x, step| step.forward(&x))
    }
}

/// Pooling as a block of its own: the steps in order.
///
/// ```
/// use mp_blocks::{BlockConfig, PoolingBlockConfig, Pooling, Shape};
///
/// let steps = PoolingBlockConfig(vec![Pooling::max_ceil(3, 2), Pooling::Flatten]);
/// assert_eq!(steps.output(Shape::square(2, 8))?, Shape::Vector(2 * 4 * 4));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolingBlockConfig(
    /// The steps.
    pub Vec<Pooling>,
);

impl BlockConfig for PoolingBlockConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        Pooling::output_of(&self.0, input)
    }

    fn build(&self, input: Shape, _params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        Ok(Box::new(PoolingBlock(self.0.clone())))
    }
}

#[derive(Debug)]
struct PoolingBlock(Vec<Pooling>);

impl Block for PoolingBlock {
    fn forward(&self, x: &Tensor, _pass: &mut Pass) -> Tensor {
        Pooling::forward_all(&self.0, x.shallow_clone())
    }
}
