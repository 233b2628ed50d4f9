//! Dense layers in paths side by side within one block, recalibrated together.

use mp_nn::{Mode, Module, Params, Tensor};
use mp_routing::Pass;

use super::dense_layer::{DenseLayer, DenseLayerConfig};
use crate::{Block, BlockConfig, DropRates, Droppable, Error, Recalibration, Shape, SharedBlock};

/// A [`MultipathDense`].
#[derive(Clone, Debug, PartialEq)]
pub struct MultipathDenseConfig {
    /// How many paths.
    pub paths: usize,
    /// Dense layers of a path.
    pub layers: usize,
    /// Each of them.
    pub layer: DenseLayerConfig,
    /// What scales the block's input and all new maps together; `None` leaves the paths without influence on each other.
    pub recalibration: Option<Recalibration>,
}

impl BlockConfig for MultipathDenseConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a multipath dense block")?;
        let new = (self.paths * self.layers) as i64 * self.layer.growth;
        Ok(Shape::Map { channels: channels + new, height, width })
    }

    /// Takes layer `l` of path `j` at `path{j}.layer{l}`, both counted from 1, then the recalibration's.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let path = |path: usize| {
            let place = params / format!("path{path}").as_str();
            let mut shape = input;
            let mut layers = Vec::with_capacity(self.layers);
            for number in 1..=self.layers {
                layers.push(self.layer.assemble(shape, &(&place / format!("layer{number}").as_str()), false)?);
                shape = self.layer.output(shape)?;
            }
            Ok(layers)
        };
        let paths = (1..=self.paths).map(path).collect::<Result<_, Error>>()?;
        let output = self.output(input)?;
        let recalibration = self.recalibration.as_ref().map(|r| r.build(output, params)).transpose()?;
        Ok(Box::new(MultipathDense { paths, recalibration }))
    }

    fn droppable(&self) -> Option<&dyn Droppable> {
        Some(self)
    }
}

impl Droppable for MultipathDenseConfig {
    fn rates(&self) -> DropRates {
        self.layer.rates()
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        let dropout = rates.dropout.unwrap_or(self.layer.dropout);
        MultipathDenseConfig { layer: DenseLayerConfig { dropout, ..self.layer.clone() }, ..self.clone() }.into()
    }
}

/// `scale([X, new maps of path 1, new maps of path 2, ...])`, each path being dense layers that start from `X`: `[B, in, H,
/// W]` to `[B, in + paths · layers · k, H, W]`.
pub struct MultipathDense {
    paths: Vec<Vec<DenseLayer>>,
    recalibration: Option<Box<dyn Module>>,
}

impl Block for MultipathDense {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let mut maps = vec![x.shallow_clone()];
        maps.extend(self.paths.iter().flat_map(|layers| new_maps(layers, x, pass.mode)));
        let all = Tensor::cat(&maps, 1);
        match &self.recalibration {
            None => all,
            Some(recalibration) => recalibration.forward(&all, pass.mode),
        }
    }
}

fn new_maps(layers: &[DenseLayer], x: &Tensor, mode: Mode) -> Vec<Tensor> {
    let mut seen = vec![x.shallow_clone()];
    for layer in layers {
        let new = layer.new_maps(&Tensor::cat(&seen, 1), mode);
        seen.push(new);
    }
    seen.split_off(1)
}
