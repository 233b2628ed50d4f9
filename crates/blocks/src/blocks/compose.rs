//! Blocks made of blocks: one after the other, side by side, and added to their input.

use mp_nn::{Params, Tensor};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape, SharedBlock};

/// A block with the place of its parameters below the place of the whole; the empty one is the same place.
pub type NamedBlock = (String, SharedBlock);

/// Blocks one after the other.
#[derive(Clone, Debug, Default)]
pub struct SequenceConfig(
    /// The blocks, in order.
    pub Vec<NamedBlock>,
);

/// Blocks side by side on one input, their channels one after the other: an Inception module is this of sequences.
/// Szegedy et al., arXiv 1409.4842, figure 2.
///
/// ```
/// use mp_blocks::{BlockConfig, ConcatConfig, PlainConvConfig, SequenceConfig, Shape};
///
/// let wide = SequenceConfig(vec![
///     ("0".to_owned(), PlainConvConfig::new(16, 1).into()),
///     ("1".to_owned(), PlainConvConfig::new(32, 5).into()),
/// ]);
/// let module = ConcatConfig(vec![
///     ("branch1".to_owned(), PlainConvConfig::new(64, 1).into()),
///     ("branch3".to_owned(), wide.into()),
/// ]);
/// assert_eq!(module.output(Shape::square(192, 28))?, Shape::square(96, 28));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ConcatConfig(
    /// The blocks, in the order of their channels.
    pub Vec<NamedBlock>,
);

/// `x + scale F(x)`, then a ReLU where it is asked for: the block of Inception-ResNet (Szegedy et al., arXiv 1602.07261,
/// section 3.3), whose small scales keep the sums of many filters from growing.
#[derive(Clone, Debug)]
pub struct ScaledSumConfig {
    /// `F`, which keeps the shape of its input.
    pub branch: SharedBlock,
    /// What `F` is multiplied by.
    pub scale: f64,
    /// Whether a ReLU follows.
    pub relu: bool,
}

impl BlockConfig for SequenceConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        self.0.iter().try_fold(input, |shape, (_, block)| block.output(shape))
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let mut shape = input;
        let mut blocks = Vec::new();
        for (name, block) in &self.0 {
            blocks.push(block.build(shape, &below(params, name))?);
            shape = block.output(shape)?;
        }
        Ok(Box::new(Sequence(blocks)))
    }
}

impl BlockConfig for ConcatConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let shapes = self.0.iter().map(|(_, block)| block.output(input)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = shapes.first() else { return Ok(input) };
        let channels = shapes.iter().map(Shape::channels).sum();
        let joined = match *first {
            Shape::Map { height, width, .. } => Shape::Map { channels, height, width },
            Shape::Vector(_) => Shape::Vector(channels),
            Shape::Tokens { count, .. } => Shape::Tokens { count, channels },
        };
        match shapes.into_iter().find(|shape| shape.extent() != joined.extent()) {
            Some(found) => Err(Error::Shape { block: "a concatenation", expected: "maps of one size", found }),
            None => Ok(joined),
        }
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        let build = |(name, block): &NamedBlock| block.build(input, &below(params, name));
        Ok(Box::new(Concat(self.0.iter().map(build).collect::<Result<_, _>>()?)))
    }
}

impl BlockConfig for ScaledSumConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let found = self.branch.output(input)?;
        if found == input {
            return Ok(input);
        }
        Err(Error::Shape { block: "a scaled sum", expected: "a branch that keeps its input's shape", found })
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        Ok(Box::new(ScaledSum { branch: self.branch.build(input, params)?, scale: self.scale, relu: self.relu }))
    }
}

/// The place at a dotted path; the empty one is the place itself.
fn below(params: &Params, path: &str) -> Params {
    path.split('.').filter(|part| !part.is_empty()).fold(params.clone(), |place, part| &place / part)
}

struct Sequence(Vec<Box<dyn Block>>);

impl Block for Sequence {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.0.iter().fold(x.shallow_clone(), |x, block| block.forward(&x, pass))
    }
}

struct Concat(Vec<Box<dyn Block>>);

impl Block for Concat {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let parts: Vec<Tensor> = self.0.iter().map(|block| block.forward(x, pass)).collect();
        Tensor::cat(&parts, 1)
    }
}

struct ScaledSum {
    branch: Box<dyn Block>,
    scale: f64,
    relu: bool,
}

impl Block for ScaledSum {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let y = x + self.branch.forward(x, pass) * self.scale;
        if self.relu { y.relu() } else { y }
    }
}
