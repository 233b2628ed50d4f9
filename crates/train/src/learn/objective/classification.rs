//! Cross-entropy with label smoothing and class weights, and the losses on the gates.

use mp_routing::RoutingLossConfig;
use mp_zoo::{HeadRole, Output};
use tch::{Kind, Reduction, Tensor};

use super::{Loss, Objective, Targets};
use crate::Error;
use crate::recipe::Recipe;

/// Cross-entropy with label smoothing and class weights, and the losses on the gates.
///
/// With class weights the cross-entropy is the weighted mean that PyTorch takes: the sum of `w_y` times each image's loss over
/// the sum of `w_y`; where images were mixed, the sum of `w_c` times each class's part over the number of images.
///
/// The members of an ensemble learn each from its own loss: the mean of these, not the loss of their mean. Auxiliary heads
/// add theirs with their weights.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classification {
    /// Share of the target probability that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Weight of each class in the cross-entropy; empty: all count alike.
    pub class_weights: Vec<f64>,
    /// Weights of the losses on the gates.
    pub routing: RoutingLossConfig,
}

impl Objective for Classification {
    fn loss(&self, output: &Output, targets: &Targets<'_>) -> Result<Loss, Error> {
        let targets = targets.classes();
        let members: Vec<Tensor> =
            output.of(HeadRole::Member).map(|logits| self.cross_entropy(logits, targets)).collect();
        let own = if members.is_empty() {
            self.cross_entropy(output.logits(), targets)
        } else {
            Tensor::stack(&members, 0).mean(Kind::Float)
        };
        let auxiliary = output.heads.iter().filter_map(|head| match head.role {
            HeadRole::Auxiliary(weight) => Some(self.cross_entropy(&head.logits, targets) * weight),
            _ => None,
        });
        let task = auxiliary.fold(own, |sum, loss| sum + loss);
        let routing = self.routing.total(&output.trace)?;
        let total = routing.as_ref().map_or_else(|| task.shallow_clone(), |routing| &task + routing);
        Ok(Loss { total, routing })
    }

    fn mass(&self, labels: &[i64], mixed: bool) -> f64 {
        if self.class_weights.is_empty() || mixed {
            return labels.len() as f64;
        }
        labels.iter().filter_map(|&label| self.class_weights.get(usize::try_from(label).ok()?)).sum()
    }
}

impl Classification {
    /// What a recipe asks for, with a weight for each class; none: all count alike.
    pub fn of(recipe: &Recipe, class_weights: Vec<f64>) -> Self {
        Classification {
            label_smoothing: recipe.train.label_smoothing,
            class_weights,
            routing: recipe.routing_loss.clone(),
        }
    }

    fn cross_entropy(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        // In float32 whatever the forward pass ran in: bfloat16 keeps eight bits, too few for small differences.
        let weights: Vec<f32> = self.class_weights.iter().map(|&weight| weight as f32).collect();
        let weights = (!weights.is_empty()).then(|| Tensor::from_slice(&weights).to_device(logits.device()));
        logits.to_kind(Kind::Float).cross_entropy_loss(targets, weights, Reduction::Mean, -100, self.label_smoothing)
    }
}

#[cfg(test)]
mod tests {
    use mp_routing::{Decision, Normalisation, Trace};
    use mp_zoo::Head;

    use super::*;

    /// The logits of one sample over two classes. 0 and ln 3 are probabilities of 1/4 and 3/4.
    fn logits(a: f64, b: f64) -> Tensor {
        Tensor::from_slice(&[a, b]).to_kind(Kind::Float).view([1, 2])
    }

    fn output(logits: Tensor, members: Vec<Tensor>) -> Output {
        let members = members.into_iter().map(|logits| Head::new("class", HeadRole::Member, logits));
        let heads = std::iter::once(Head::new("class", HeadRole::Final, logits)).chain(members).collect();
        Output { heads, taps: Vec::new(), trace: Trace::new() }
    }

    #[track_caller]
    fn assert_loss(config: &Classification, output: &Output, expected: f64) {
        let loss = config.loss(output, &Targets::of(&Tensor::from_slice(&[1_i64]))).unwrap();
        let found = loss.total.double_value(&[]);
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn cross_entropy_is_the_negative_logarithm_of_the_right_class() {
        let output = output(logits(0.0, 3_f64.ln()), Vec::new());
        assert_loss(&Classification::default(), &output, (4.0_f64 / 3.0).ln());
    }

    #[test]
    fn smoothing_spreads_the_target_over_all_classes() {
        // 0.2 over two classes: 0.9 of the target on the right one, 0.1 on the other.
        let config = Classification { label_smoothing: 0.2, ..Classification::default() };
        let expected = 0.9 * (4.0_f64 / 3.0).ln() + 0.1 * 4_f64.ln();
        assert_loss(&config, &output(logits(0.0, 3_f64.ln()), Vec::new()), expected);
    }

    #[test]
    fn soft_targets_weigh_the_logarithms_of_all_classes() {
        let output = output(logits(0.0, 3_f64.ln()), Vec::new());
        let loss = |smoothing, targets: [f32; 2]| {
            let config = Classification { label_smoothing: smoothing, ..Classification::default() };
            let targets = Tensor::from_slice(&targets).view([1, 2]);
            config.loss(&output, &Targets::of(&targets)).unwrap().total.double_value(&[])
        };
        let (wrong, right) = (4_f64.ln(), (4.0_f64 / 3.0).ln());
        // Certain targets are labels.
        assert!((loss(0.0, [0.0, 1.0]) - right).abs() < 1e-6);
        assert!((loss(0.0, [0.3, 0.7]) - (0.3 * wrong + 0.7 * right)).abs() < 1e-6);
        // Smoothing takes 20% of each and spreads it: 0.8 * 0.3 + 0.1 and 0.8 * 0.7 + 0.1.
        assert!((loss(0.2, [0.3, 0.7]) - (0.34 * wrong + 0.66 * right)).abs() < 1e-6);
    }

    /// A batch of two images, each with the logits above, of classes 0 and 1: losses ln 4 and ln 4/3.
    fn two(config: &Classification) -> f64 {
        let both = Tensor::cat(&[logits(0.0, 3_f64.ln()), logits(0.0, 3_f64.ln())], 0);
        let targets = Tensor::from_slice(&[0_i64, 1]);
        config.loss(&output(both, Vec::new()), &Targets::of(&targets)).unwrap().total.double_value(&[])
    }

    #[test]
    fn class_weights_make_a_weighted_mean() {
        let (zero, one) = (4_f64.ln(), (4.0_f64 / 3.0).ln());
        let weighted =
            |weights: &[f64]| two(&Classification { class_weights: weights.to_vec(), ..Classification::default() });
        assert!((weighted(&[]) - (zero + one) / 2.0).abs() < 1e-6);
        assert!((weighted(&[3.0, 1.0]) - (3.0 * zero + one) / 4.0).abs() < 1e-6);
        // Only their ratio matters.
        assert!((weighted(&[0.6, 0.2]) - weighted(&[3.0, 1.0])).abs() < 1e-6);
    }

    #[test]
    fn class_weights_and_smoothing_are_those_of_pytorch() {
        // torch.nn.CrossEntropyLoss(weight=[3, 1], label_smoothing=0.2): 0.8 of the weighted mean, and 0.1 of the sum over
        // both images of 3 ln 4 + 1 ln 4/3, over the sum of the labels' weights, 4.
        let (zero, one) = (4_f64.ln(), (4.0_f64 / 3.0).ln());
        let expected = 0.8 * (3.0 * zero + one) / 4.0 + 0.1 * 2.0 * (3.0 * zero + one) / 4.0;
        let config =
            Classification { class_weights: vec![3.0, 1.0], label_smoothing: 0.2, ..Classification::default() };
        assert!((two(&config) - expected).abs() < 1e-6, "{} is not {expected}", two(&config));
    }

    #[test]
    fn mixed_targets_weigh_each_class_and_divide_by_the_images() {
        let config = Classification { class_weights: vec![3.0, 1.0], ..Classification::default() };
        let targets = Tensor::from_slice(&[0.25_f32, 0.75]).view([1, 2]);
        let output = output(logits(0.0, 3_f64.ln()), Vec::new());
        let found = config.loss(&output, &Targets::of(&targets)).unwrap().total.double_value(&[]);
        let expected = 3.0 * 0.25 * 4_f64.ln() + 0.75 * (4.0_f64 / 3.0).ln();
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    #[test]
    fn batches_of_one_step_count_by_the_weights_of_their_labels() {
        let config = Classification { class_weights: vec![3.0, 1.0], ..Classification::default() };
        assert_eq!((config.mass(&[0, 1, 1], false), config.mass(&[0, 1, 1], true)), (5.0, 3.0));
        assert_eq!(Classification::default().mass(&[0, 1, 1], false), 3.0);
    }

    #[test]
    fn members_of_an_ensemble_learn_each_from_its_own_loss() {
        // 3/4 and 1/2 for the right class; the merged logits, which would be certain, are not looked at.
        let output = output(logits(0.0, 100.0), vec![logits(0.0, 3_f64.ln()), logits(0.0, 0.0)]);
        let expected = ((4.0_f64 / 3.0).ln() + 2_f64.ln()) / 2.0;
        assert_loss(&Classification::default(), &output, expected);
    }

    #[test]
    fn the_losses_on_the_gates_are_added_and_kept_apart() {
        // One source that is undecided between two targets has the entropy ln 2; its weight is 2.
        let mut config = Classification::default();
        config.routing.entropy = 2.0;
        let mut output = output(logits(0.0, 0.0), Vec::new());
        let weights = Tensor::from_slice(&[0.5_f32, 0.5]).view([1, 1, 2]);
        output.trace.push("stage2", Decision::soft(weights, None, Normalisation::Targets));
        let loss = config.loss(&output, &Targets::of(&Tensor::from_slice(&[1_i64]))).unwrap();
        assert!((loss.routing.unwrap().double_value(&[]) - 2.0 * 2_f64.ln()).abs() < 1e-6);
        assert!((loss.total.double_value(&[]) - 3.0 * 2_f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn half_precision_logits_give_a_float32_loss() {
        let output = output(logits(0.0, 3_f64.ln()).to_kind(Kind::BFloat16), Vec::new());
        let loss = Classification::default().loss(&output, &Targets::of(&Tensor::from_slice(&[1_i64]))).unwrap();
        assert_eq!(loss.total.kind(), Kind::Float);
    }
}
