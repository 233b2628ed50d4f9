//! Names that models had in earlier versions.

/// The present name of the model of a checkpoint, whose weights have these names.
///
/// The form of VGG-13 for 32x32 images was called `vgg13` before torchvision's network took that name. Its batch-norms tell
/// it from that one, which has none.
pub(super) fn present_name<'a>(model: &str, mut weights: impl Iterator<Item = &'a String>) -> String {
    // `vgg13_w2` and `vgg13_x3_cc`, but not `vgg13_bn`.
    let is_variant = |ending: &str| {
        let number = ending.strip_prefix("_w").or(ending.strip_prefix("_x")).or(ending.strip_prefix("_e"));
        number.is_some_and(|number| number.starts_with(|c: char| c.is_ascii_digit()))
    };
    let ending = model.strip_prefix("vgg13").filter(|ending| ending.is_empty() || is_variant(ending));
    match ending {
        Some(ending) if weights.any(|name| name.contains("bn1.")) => format!("vgg13_unbiased_cifar{ending}"),
        _ => model.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::present_name;

    fn name(model: &str, weight: &str) -> String {
        present_name(model, [weight.to_owned()].iter())
    }

    #[test]
    fn vgg13_with_batch_norms_is_the_form_for_cifar() {
        assert_eq!(name("vgg13", "stage1.0.bn1.weight"), "vgg13_unbiased_cifar");
        assert_eq!(name("vgg13_w2_x3_cc", "stage1.0.path1.bn1.weight"), "vgg13_unbiased_cifar_w2_x3_cc");
        assert_eq!(name("vgg13_e2", "member1.stage1.0.bn1.weight"), "vgg13_unbiased_cifar_e2");
    }

    #[test]
    fn other_names_stay() {
        assert_eq!(name("vgg13", "features.0.weight"), "vgg13");
        assert_eq!(name("vgg13_bn_x2", "stage1.0.path1.bn1.weight"), "vgg13_bn_x2");
        assert_eq!(name("vgg13_unbiased_cifar", "stage1.0.bn1.weight"), "vgg13_unbiased_cifar");
        assert_eq!(name("resnet20", "bn1.weight"), "resnet20");
    }
}
