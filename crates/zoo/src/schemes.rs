//! The names under which public weights of the static families lie, as tables: each scheme turns the names of its files into
//! the canonical ones, which are torchvision's or timm's.

use mp_nn::{Error, Renaming};

/// One rule of a scheme, as [`Renaming`] has them.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// A whole name.
    Exact(&'static str, &'static str),
    /// A place, and all below it.
    Prefix(&'static str, &'static str),
    /// A regular expression.
    Pattern(&'static str, &'static str),
    /// A regular expression whose tensors hold the same numbers under another shape.
    Reshaped(&'static str, &'static str),
    /// A regular expression of names that are left out.
    Without(&'static str),
}

use Rule::{Exact, Pattern, Prefix, Reshaped, Without};

/// The names of one source of weights.
#[derive(Debug, Clone, Copy)]
pub struct Scheme {
    /// How it is called.
    pub name: &'static str,
    /// What lies under these names.
    pub summary: &'static str,
    rules: &'static [Rule],
}

impl Scheme {
    /// Its rules, ready to use.
    ///
    /// # Errors
    /// [`Error::Config`] for a rule that is none, which a test holds to be impossible.
    pub fn renaming(&self) -> Result<Renaming, Error> {
        self.renaming_onto(Renaming::new())
    }

    /// The same after the rules of `base`, whose heads and optional places stay.
    ///
    /// # Errors
    /// As [`Scheme::renaming`].
    pub fn renaming_onto(&self, base: Renaming) -> Result<Renaming, Error> {
        self.rules.iter().try_fold(base, |renaming, rule| {
            Ok(match *rule {
                Exact(from, to) => renaming.exact(from, to),
                Prefix(from, to) => renaming.prefix(from, to),
                Pattern(from, to) => renaming.pattern(from, to)?,
                Reshaped(from, to) => renaming.pattern(from, to)?.reshaped(),
                Without(pattern) => renaming.without(pattern)?,
            })
        })
    }
}

/// The scheme of a name.
pub fn scheme(name: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.name == name)
}

/// DenseNet-BC of one depth, whose last norm stands after all layers of the last stage.
macro_rules! pytorchcv_densenet {
    ($name:literal, $summary:literal, $last:literal) => {
        Scheme {
            name: $name,
            summary: $summary,
            rules: &[
                Prefix("features.init_block", "stem.0.conv"),
                Pattern(r"^features\.stage1\.unit(\d+)\.conv(\d)\.conv\.", "stage1.${1-1}.conv$2."),
                Pattern(r"^features\.stage1\.unit(\d+)\.conv(\d)\.bn\.", "stage1.${1-1}.norm$2."),
                // The transition is the first block of the stage by which it is named.
                Pattern(r"^features\.stage([23])\.unit(\d+)\.conv(\d)\.conv\.", "stage$1.$2.conv$3."),
                Pattern(r"^features\.stage([23])\.unit(\d+)\.conv(\d)\.bn\.", "stage$1.$2.norm$3."),
                Pattern(r"^features\.stage([23])\.trans\d+\.conv\.conv\.", "stage$1.0.conv."),
                Pattern(r"^features\.stage([23])\.trans\d+\.conv\.bn\.", "stage$1.0.norm."),
                Prefix("features.post_activ.bn", $last),
                Prefix("output", "fc"),
            ],
        }
    };
}

/// Every scheme.
pub const SCHEMES: &[Scheme] = &[
    Scheme {
        name: "torchvision",
        summary: "torchvision, and pools that follow it: chenyaofo, huyvnphan, torchdistill, kuangliu's VGG and LeNet",
        rules: &[
            // DenseNet's files from before torchvision 0.3.
            Pattern(r"^(features\.denseblock\d+\.denselayer\d+\.(?:norm|relu|conv))\.([12])\.", "${1}${2}."),
            // Auxiliary classifiers of GoogLeNet, which are untrained, and of Inception-v3.
            Without(r"^(aux[12]|AuxLogits)\."),
        ],
    },
    Scheme {
        name: "timm",
        summary: "timm; heads stored as 1x1 convolutions are taken as dense layers",
        rules: &[Reshaped(r"^head\.fc\.weight$", "head.fc.weight"), Without(r"^AuxLogits\.")],
    },
    Scheme {
        name: "timm-vgg",
        summary: "timm: VGG, whose dense layers are stored as convolutions",
        rules: &[
            Reshaped(r"^pre_logits\.fc1\.weight$", "classifier.0.weight"),
            Reshaped(r"^pre_logits\.fc2\.weight$", "classifier.3.weight"),
            Prefix("pre_logits.fc1", "classifier.0"),
            Prefix("pre_logits.fc2", "classifier.3"),
            Prefix("head.fc", "classifier.6"),
        ],
    },
    Scheme {
        name: "akamaster",
        summary: "akamaster/pytorch_resnet_cifar10: ResNet-20 to 1202 with parameter-free shortcuts",
        rules: &[Prefix("linear", "fc")],
    },
    Scheme {
        name: "pytorchcv-resnet",
        summary: "osmr/pytorchcv: ResNet, SE-ResNet and ResNeXt for CIFAR",
        rules: &[
            Prefix("features.init_block.conv", "conv1"),
            Prefix("features.init_block.bn", "bn1"),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.body\.conv(\d+)\.(conv|bn)\.", "layer$1.${2-1}.${4}$3."),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.identity_conv\.conv\.", "layer$1.${2-1}.downsample.0."),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.identity_conv\.bn\.", "layer$1.${2-1}.downsample.1."),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.se\.conv(\d)\.", "layer$1.${2-1}.se.fc$3."),
            Prefix("output", "fc"),
        ],
    },
    Scheme {
        name: "pytorchcv-preresnet",
        summary: "osmr/pytorchcv: pre-activation and wide ResNet for CIFAR",
        rules: &[
            Prefix("features.init_block", "stem.conv"),
            Pattern(
                r"^features\.stage(\d+)\.unit(\d+)\.body\.conv(\d+)\.conv\.",
                "stages.${1-1}.blocks.${2-1}.conv$3.",
            ),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.body\.conv(\d+)\.bn\.", "stages.${1-1}.blocks.${2-1}.norm$3."),
            Pattern(
                r"^features\.stage(\d+)\.unit(\d+)\.identity_conv\.",
                "stages.${1-1}.blocks.${2-1}.downsample.conv.",
            ),
            Pattern(r"^features\.stage(\d+)\.unit(\d+)\.se\.conv(\d)\.", "stages.${1-1}.blocks.${2-1}.se.fc$3."),
            Prefix("features.post_activ.bn", "norm"),
            Prefix("output", "fc"),
        ],
    },
    Scheme {
        name: "pytorchcv-nin",
        summary: "osmr/pytorchcv: Network in Network for CIFAR",
        rules: &[
            Prefix("features.stage1.unit1.conv", "classifier.0"),
            Prefix("features.stage1.unit2.conv", "classifier.2"),
            Prefix("features.stage1.unit3.conv", "classifier.4"),
            Prefix("features.stage2.unit1.conv", "classifier.8"),
            Prefix("features.stage2.unit2.conv", "classifier.10"),
            Prefix("features.stage2.unit3.conv", "classifier.12"),
            Prefix("features.stage3.unit1.conv", "classifier.16"),
            Prefix("features.stage3.unit2.conv", "classifier.18"),
            Prefix("output.final_conv.conv", "classifier.20"),
        ],
    },
    pytorchcv_densenet!(
        "pytorchcv-densenetbc40",
        "osmr/pytorchcv: DenseNet-BC of 40 layers for CIFAR",
        "stage3.7.norm"
    ),
    pytorchcv_densenet!(
        "pytorchcv-densenetbc100",
        "osmr/pytorchcv: DenseNet-BC of 100 layers for CIFAR",
        "stage3.17.norm"
    ),
    pytorchcv_densenet!(
        "pytorchcv-densenetbc190",
        "osmr/pytorchcv: DenseNet-BC of 190 layers for CIFAR",
        "stage3.32.norm"
    ),
    pytorchcv_densenet!(
        "pytorchcv-densenetbc250",
        "osmr/pytorchcv: DenseNet-BC of 250 layers for CIFAR",
        "stage3.42.norm"
    ),
    Scheme {
        name: "wrn-xternalz",
        summary: "xternalz/WideResNet-pytorch",
        rules: &[
            Prefix("conv1", "stem.conv"),
            Pattern(r"^block(\d)\.layer\.(\d+)\.convShortcut\.", "stages.${1-1}.blocks.$2.downsample.conv."),
            Pattern(r"^block(\d)\.layer\.(\d+)\.conv(\d)\.", "stages.${1-1}.blocks.$2.conv$3."),
            Pattern(r"^block(\d)\.layer\.(\d+)\.bn(\d)\.", "stages.${1-1}.blocks.$2.norm$3."),
            Prefix("bn1", "norm"),
        ],
    },
    Scheme {
        name: "wrn-szagoruyko",
        summary: "szagoruyko/wide-residual-networks: flat names without `.weight`",
        rules: &[
            Exact("conv0", "stem.conv.weight"),
            Pattern(r"^group(\d)\.block(\d+)\.conv([01])$", "stages.$1.blocks.$2.conv${3+1}.weight"),
            Pattern(r"^group(\d)\.block(\d+)\.convdim$", "stages.$1.blocks.$2.downsample.conv.weight"),
            Pattern(r"^group(\d)\.block(\d+)\.bn([01])\.", "stages.$1.blocks.$2.norm${3+1}."),
            Prefix("bn", "norm"),
        ],
    },
    Scheme {
        name: "resnext-prlz77",
        summary: "prlz77/ResNeXt.pytorch",
        rules: &[
            Prefix("conv_1_3x3", "conv1"),
            Prefix("bn_1", "bn1"),
            Pattern(r"^stage_(\d)\.stage_\d_bottleneck_(\d+)\.", "layer$1.$2."),
            Pattern(r"^(layer\d\.\d+)\.conv_reduce\.", "$1.conv1."),
            Pattern(r"^(layer\d\.\d+)\.bn_reduce\.", "$1.bn1."),
            Pattern(r"^(layer\d\.\d+)\.conv_conv\.", "$1.conv2."),
            Pattern(r"^(layer\d\.\d+)\.bn\.", "$1.bn2."),
            Pattern(r"^(layer\d\.\d+)\.conv_expand\.", "$1.conv3."),
            Pattern(r"^(layer\d\.\d+)\.bn_expand\.", "$1.bn3."),
            Pattern(r"^(layer\d\.\d+)\.shortcut\.shortcut_conv\.", "$1.downsample.0."),
            Pattern(r"^(layer\d\.\d+)\.shortcut\.shortcut_bn\.", "$1.downsample.1."),
            Prefix("classifier", "fc"),
        ],
    },
    Scheme {
        name: "cadene-senet",
        summary: "Cadene/pretrained-models.pytorch, and timm's legacy_seresnet: SE-ResNet and SE-ResNeXt",
        rules: &[Prefix("layer0", ""), Pattern(r"^(layer\d\.\d+)\.se_module\.", "$1.se."), Prefix("last_linear", "fc")],
    },
    Scheme {
        name: "cadene-inceptionresnetv2",
        summary: "Cadene/pretrained-models.pytorch: Inception-ResNet-v2, otherwise under timm's names",
        rules: &[Prefix("last_linear", "classif")],
    },
    Scheme {
        name: "moskomule",
        summary: "moskomule/senet.pytorch: its squeeze-excite layers are dense and without bias",
        rules: &[
            Reshaped(r"^(layer\d\.\d+)\.se\.fc\.0\.weight$", "$1.se.fc1.weight"),
            Reshaped(r"^(layer\d\.\d+)\.se\.fc\.2\.weight$", "$1.se.fc2.weight"),
        ],
    },
    Scheme {
        name: "eca",
        summary: "BangguWu/ECANet, under timm's names",
        rules: &[Pattern(r"^(layer\d\.\d+)\.eca\.conv\.", "$1.se.conv.")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(name: &str, from: &str) -> String {
        scheme(name).unwrap().renaming().unwrap().rename(from)
    }

    #[test]
    fn names_are_unique_and_every_rule_is_one() {
        let mut names: Vec<_> = SCHEMES.iter().map(|scheme| scheme.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SCHEMES.len());
        assert!(SCHEMES.iter().all(|scheme| scheme.renaming().is_ok()));
    }

    #[test]
    fn the_book_has_every_scheme() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/weights.md");
        let page = std::fs::read_to_string(page).unwrap();
        for Scheme { name, summary, .. } in SCHEMES {
            assert!(page.contains(&format!("| `{name}` | {summary} |\n")), "docs/src/weights.md lacks `{name}`");
        }
    }

    /// Each leads to a tensor that the network has.
    #[test]
    fn the_names_of_each_source() {
        for (scheme, model, from, to) in [
            (
                "torchvision",
                "densenet121",
                "features.denseblock1.denselayer2.norm.1.weight",
                "features.denseblock1.denselayer2.norm1.weight",
            ),
            ("torchvision", "densenet121", "features.norm0.weight", "features.norm0.weight"),
            ("akamaster", "resnet20a", "linear.bias", "fc.bias"),
            ("pytorchcv-resnet", "resnet20", "features.init_block.conv.weight", "conv1.weight"),
            (
                "pytorchcv-resnet",
                "resnet20",
                "features.stage2.unit1.body.conv2.bn.running_mean",
                "layer2.0.bn2.running_mean",
            ),
            (
                "pytorchcv-resnet",
                "resnet20",
                "features.stage2.unit1.identity_conv.bn.bias",
                "layer2.0.downsample.1.bias",
            ),
            ("pytorchcv-resnet", "resnet20", "output.weight", "fc.weight"),
            ("pytorchcv-preresnet", "preresnet20", "features.init_block.weight", "stem.conv.weight"),
            (
                "pytorchcv-preresnet",
                "preresnet20",
                "features.stage3.unit1.identity_conv.weight",
                "stages.2.blocks.0.downsample.conv.weight",
            ),
            ("pytorchcv-preresnet", "preresnet20", "features.post_activ.bn.weight", "norm.weight"),
            ("wrn-xternalz", "wrn16", "block2.layer.0.convShortcut.weight", "stages.1.blocks.0.downsample.conv.weight"),
            ("wrn-xternalz", "wrn16", "block2.layer.0.bn1.weight", "stages.1.blocks.0.norm1.weight"),
            ("wrn-xternalz", "wrn16", "bn1.weight", "norm.weight"),
            ("wrn-szagoruyko", "wrn22", "group0.block2.conv1", "stages.0.blocks.2.conv2.weight"),
            ("wrn-szagoruyko", "wrn22", "group2.block0.bn0.running_var", "stages.2.blocks.0.norm1.running_var"),
            ("resnext-prlz77", "resnext29_8x64d", "stage_1.stage_1_bottleneck_2.bn.weight", "layer1.2.bn2.weight"),
            (
                "resnext-prlz77",
                "resnext29_8x64d",
                "stage_3.stage_3_bottleneck_0.shortcut.shortcut_bn.bias",
                "layer3.0.downsample.1.bias",
            ),
            ("cadene-senet", "seresnet50", "layer0.conv1.weight", "conv1.weight"),
            ("cadene-senet", "seresnet50", "layer1.0.se_module.fc1.weight", "layer1.0.se.fc1.weight"),
            ("cadene-senet", "seresnet50", "last_linear.bias", "fc.bias"),
            ("cadene-inceptionresnetv2", "inception_resnet_v2", "last_linear.bias", "classif.bias"),
            ("timm-vgg", "vgg11", "pre_logits.fc1.weight", "classifier.0.weight"),
            ("timm-vgg", "vgg11", "pre_logits.fc2.bias", "classifier.3.bias"),
            ("timm-vgg", "vgg11", "head.fc.weight", "classifier.6.weight"),
            ("moskomule", "seresnet20", "layer1.0.se.fc.2.weight", "layer1.0.se.fc2.weight"),
            ("eca", "ecaresnet50d", "layer1.0.eca.conv.weight", "layer1.0.se.conv.weight"),
            (
                "pytorchcv-preresnet",
                "sepreresnet110",
                "features.stage1.unit2.se.conv1.bias",
                "stages.0.blocks.1.se.fc1.bias",
            ),
            ("pytorchcv-nin", "nin", "features.stage2.unit3.conv.bias", "classifier.12.bias"),
            ("pytorchcv-nin", "nin", "output.final_conv.conv.weight", "classifier.20.weight"),
            ("wrn-szagoruyko", "wrn16", "bn.bias", "norm.bias"),
            ("pytorchcv-densenetbc100", "densenetbc100", "features.init_block.weight", "stem.0.conv.weight"),
            ("pytorchcv-densenetbc100", "densenetbc100", "features.stage1.unit3.conv2.bn.bias", "stage1.2.norm2.bias"),
            (
                "pytorchcv-densenetbc100",
                "densenetbc100",
                "features.stage2.trans2.conv.conv.weight",
                "stage2.0.conv.weight",
            ),
            (
                "pytorchcv-densenetbc100",
                "densenetbc100",
                "features.stage3.unit16.conv1.conv.weight",
                "stage3.16.conv1.weight",
            ),
            ("pytorchcv-densenetbc40", "densenetbc40", "features.post_activ.bn.weight", "stage3.7.norm.weight"),
            ("pytorchcv-densenetbc100", "densenetbc100", "features.post_activ.bn.weight", "stage3.17.norm.weight"),
            ("pytorchcv-densenetbc190", "densenetbc190", "features.post_activ.bn.weight", "stage3.32.norm.weight"),
            ("pytorchcv-densenetbc250", "densenetbc250", "features.post_activ.bn.weight", "stage3.42.norm.weight"),
        ] {
            assert_eq!(renamed(scheme, from), to, "{scheme}");
            let store = mp_nn::Store::for_counting();
            let family = crate::families().into_iter().find(|family| family.name == model).unwrap();
            crate::build(model, &crate::ModelOptions::new(family.native), &store.root()).unwrap();
            assert!(store.entries().iter().any(|entry| entry.name == to), "{scheme}: `{model}` has no `{to}`");
        }
    }
}
