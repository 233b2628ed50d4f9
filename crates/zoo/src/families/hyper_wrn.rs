//! Static HyperNetworks (Ha, Dai and Le, arXiv 1609.09106, section 3.1): a wide residual network whose 3x3 kernels, but the
//! stem's, are made by one small generator from learned embeddings.
//!
//! A basic kernel of 16 to 16 channels is made of an embedding `z` of 64 numbers: `a_i = W_i z + B_i` for each of its 16 input
//! channels, then `K_i = W_out a_i + B_out`, the `16 · 3 · 3` weights from that input. The generator has 75,920 numbers and is
//! shared by all layers; larger kernels are tiled of basic ones, output channels first. Stem, shortcuts, norms and the dense
//! layer are parameters of their own.
//!
//! Multiply-adds are those of the wide network: the kernels are made once a pass, however many images there are. The paper
//! does not say how it starts; ours draws `z` and `W` so that kernels of 16 channels start as He et al.'s.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Init, Linear, LinearConfig, Meter, Mode, Module, Params,
    Role, Tensor, WeightInit, global_avg_pool, numbers_of_one,
};
use mp_routing::Pass;

use super::CIFAR;
use super::preresnet::{WRN_STEM, wide_stages};
use crate::{Error, Family, Head, HeadRole, Interface, Knob, Make, Network, Size, Target};

const EMBEDDING: i64 = 64;
/// Channels of a basic kernel, in and out.
const BASIC: i64 = 16;
const KERNEL: i64 = 3;

const fn family(name: &'static str) -> Family {
    let summary = "wide residual network with generated kernels, CIFAR form (arXiv 1609.09106)";
    Family { name, summary, native: CIFAR, knob: Knob::factor(1), make: Make::Whole(build) }
}

pub(super) const FAMILIES: &[Family] = &[family("hyper_wrn28"), family("hyper_wrn40")];

fn build(size: &Size, interface: &Interface, params: &Params) -> Result<Box<dyn Network>, Error> {
    let (channels, ..) = interface.input.map("a convolution")?;
    let generator = Generator::build(&(params / "generator"))?;
    let init = WeightInit::KaimingNormalFanIn;
    let stem = Conv2dConfig { padding: 1, bias: false, init, ..Conv2dConfig::new(channels, WRN_STEM, KERNEL) };
    let stem = stem.build(&(params / "stem"))?;
    let mut width = WRN_STEM;
    let mut blocks = Vec::new();
    for (number, stage) in (1..).zip(wide_stages(size)?) {
        for index in 0..stage.blocks as usize {
            let stride = if number > 1 && index == 0 { 2 } else { 1 };
            let place = &(params / format!("stage{number}").as_str()) / index;
            blocks.push(HyperBlock::build(width, stage.width, stride, &place)?);
            width = stage.width;
        }
    }
    let norm = BatchNorm2dConfig::new(width).build(&(params / "norm"))?;
    let head = |(at, (name, target)): (usize, &(String, Target))| {
        let Target::Classes(classes) = *target else {
            let problem = format!("gives classes of whole images, and `{name}` asks for something else");
            return Err(Error::Input { name: size.name.to_owned(), problem });
        };
        let place = if at == 0 { "fc".to_owned() } else { format!("fc_{name}") };
        Ok((name.clone(), LinearConfig::new(width, classes).build(&(params / place.as_str()))?))
    };
    let heads = interface.heads.iter().enumerate().map(head).collect::<Result<_, _>>()?;
    Ok(Box::new(HyperWrn { generator, stem, blocks, norm, heads }))
}

struct HyperWrn {
    generator: Generator,
    stem: Conv2d,
    blocks: Vec<HyperBlock>,
    norm: BatchNorm2d,
    heads: Vec<(String, Linear)>,
}

impl Network for HyperWrn {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Vec<Head> {
        let mode = pass.mode;
        let mut x = self.stem.forward(x, mode);
        for block in &self.blocks {
            x = block.forward(&x, &self.generator, mode);
        }
        let features = global_avg_pool(&self.norm.forward_relu(&x, mode));
        self.heads
            .iter()
            .map(|(name, dense)| Head::new(name, HeadRole::Final, dense.forward(&features, mode)))
            .collect()
    }
}

/// The layers by which every kernel is made.
struct Generator {
    /// `W_i` and `B_i`, one after another: `[16 · 64, 64]` and `[16 · 64]`.
    expand: (Tensor, Tensor),
    /// `W_out` and `B_out`: `[16 · 3 · 3, 64]` and `[16 · 3 · 3]`.
    project: (Tensor, Tensor),
}

impl Generator {
    fn build(params: &Params) -> Result<Self, Error> {
        let layer = |name: &str, outputs: i64, std: f64| {
            let place = params / name;
            let weight = place.parameter("weight", &[outputs, EMBEDDING], Init::Normal { std }, Role::Weight)?;
            Ok::<_, Error>((weight, place.parameter("bias", &[outputs], Init::Zeros, Role::Bias)?))
        };
        // Embeddings of deviation 1 give hidden numbers of deviation 1, and those kernels as He et al.'s.
        let keep = 1.0 / (EMBEDDING as f64).sqrt();
        let kernel = (2.0 / (BASIC * KERNEL * KERNEL) as f64).sqrt();
        Ok(Generator {
            expand: layer("expand", BASIC * EMBEDDING, keep)?,
            project: layer("project", BASIC * KERNEL * KERNEL, keep * kernel)?,
        })
    }

    /// The kernel `[16 rows, 16 columns, 3, 3]` tiled of one basic kernel for each embedding of `[rows · columns, 64]`; the
    /// embeddings of a row, which have its output channels, lie together.
    fn kernel(&self, embeddings: &Tensor, rows: i64, columns: i64) -> Tensor {
        let hidden = embeddings.linear(&self.expand.0, Some(&self.expand.1));
        let slices = hidden.view([rows * columns * BASIC, EMBEDDING]).linear(&self.project.0, Some(&self.project.1));
        slices.view([rows, columns, BASIC, BASIC, KERNEL, KERNEL]).permute([0, 3, 1, 2, 4, 5]).reshape([
            rows * BASIC,
            columns * BASIC,
            KERNEL,
            KERNEL,
        ])
    }
}

/// A 3x3 convolution whose kernel is generated.
struct HyperConv {
    embeddings: Tensor,
    rows: i64,
    columns: i64,
    stride: i64,
    meter: Meter,
}

impl HyperConv {
    fn build(from: i64, to: i64, stride: i64, params: &Params) -> Result<Self, Error> {
        let (rows, columns) = (to / BASIC, from / BASIC);
        let start = Init::Normal { std: 1.0 };
        let embeddings = params.parameter("embeddings", &[rows * columns, EMBEDDING], start, Role::Weight)?;
        Ok(HyperConv { embeddings, rows, columns, stride, meter: params.meter().clone() })
    }

    fn forward(&self, x: &Tensor, generator: &Generator) -> Tensor {
        let kernel = generator.kernel(&self.embeddings, self.rows, self.columns);
        let y = x.conv2d(&kernel, None::<&Tensor>, [self.stride; 2], [KERNEL / 2; 2], [1, 1], 1);
        self.meter.add(numbers_of_one(&y) * (self.columns * BASIC * KERNEL * KERNEL) as u64);
        y
    }
}

/// A pre-activation block of two generated convolutions.
struct HyperBlock {
    norm1: BatchNorm2d,
    conv1: HyperConv,
    norm2: BatchNorm2d,
    conv2: HyperConv,
    shortcut: Option<Conv2d>,
}

impl HyperBlock {
    fn build(from: i64, to: i64, stride: i64, params: &Params) -> Result<Self, Error> {
        let init = WeightInit::KaimingNormalFanIn;
        let shortcut = Conv2dConfig { stride, bias: false, init, ..Conv2dConfig::new(from, to, 1) };
        Ok(HyperBlock {
            norm1: BatchNorm2dConfig::new(from).build(&(params / "norm1"))?,
            conv1: HyperConv::build(from, to, stride, &(params / "conv1"))?,
            norm2: BatchNorm2dConfig::new(to).build(&(params / "norm2"))?,
            conv2: HyperConv::build(to, to, 1, &(params / "conv2"))?,
            shortcut: if stride == 1 && from == to {
                None
            } else {
                Some(shortcut.build(&(params / "downsample" / "conv"))?)
            },
        })
    }

    fn forward(&self, x: &Tensor, generator: &Generator, mode: Mode) -> Tensor {
        let active = self.norm1.forward_relu(x, mode);
        let y = self.norm2.forward_relu(&self.conv1.forward(&active, generator), mode);
        let y = self.conv2.forward(&y, generator);
        match &self.shortcut {
            None => y + x,
            Some(conv) => y + conv.forward(&active, mode),
        }
    }
}

#[cfg(test)]
mod tests {
    use mp_nn::{Device, Kind, Store};

    use super::*;

    /// Channel `16 r + o` of the output and `16 c + i` of the input meet in basic kernel `(r, c)`, whose slice `i` is made by
    /// the `i`-th part of the hidden layer.
    #[test]
    fn kernels_are_tiled_of_basic_ones() {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
        let generator = Generator::build(&store.root()).unwrap();
        let (rows, columns) = (2, 3);
        let z = Tensor::randn([rows * columns, EMBEDDING], (Kind::Double, Device::Cpu));
        let kernel = generator.kernel(&z, rows, columns);
        assert_eq!(kernel.size(), [32, 48, 3, 3]);
        for (r, c, o, i) in [(0, 0, 0, 0), (1, 0, 3, 5), (0, 2, 15, 1), (1, 2, 7, 15)] {
            let hidden = generator.expand.0.narrow(0, i * EMBEDDING, EMBEDDING).matmul(&z.get(r * columns + c));
            let slice = generator.project.0.matmul(&hidden).view([BASIC, KERNEL, KERNEL]).get(o);
            assert!(kernel.get(16 * r + o).get(16 * c + i).allclose(&slice, 1e-9, 1e-12, false), "{r} {c} {o} {i}");
        }
    }
}
