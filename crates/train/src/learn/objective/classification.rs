//! Cross-entropy with label smoothing and class weights, and the losses on the gates.

use mp_routing::RoutingLossConfig;
use mp_zoo::{HeadRole, Output};
use tch::{Kind, Reduction, Tensor};

use super::{Loss, Objective, Targets};
use crate::Error;
use crate::recipe::{PathGradients, Recipe};

/// Cross-entropy with label smoothing and class weights, and the losses on the gates.
///
/// With class weights the cross-entropy is the weighted mean that PyTorch takes: the sum of `w_y` times each image's loss over
/// the sum of `w_y`; where images were mixed, the sum of `w_c` times each class's part over the number of images.
///
/// The members of an ensemble learn each from its own loss, not from that of their mean. Auxiliary heads add theirs with
/// their weights. What is reported is the mean over the members; [`PathGradients`] says how many times that the backward pass
/// takes of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Classification {
    /// Share of the target probability that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Weight of each class in the cross-entropy; empty: all count alike.
    pub class_weights: Vec<f64>,
    /// How much of the gradient each path and each member gets.
    pub path_gradients: PathGradients,
    /// Weight of the mean of the losses that parallel paths have each by itself.
    pub path_loss: f64,
    /// Weights of the losses on the gates.
    pub routing: RoutingLossConfig,
}

impl Objective for Classification {
    fn loss(&self, output: &Output, targets: &Targets<'_>) -> Result<Loss, Error> {
        let targets = targets.classes();
        let cross_entropy = |logits| self.cross_entropy(logits, targets);
        let mut losses: Vec<Tensor> = output.of(HeadRole::Member).map(cross_entropy).collect();
        // What is summed here is that of so many networks.
        let count = losses.len().max(1) as f64;
        if losses.is_empty() {
            losses.push(cross_entropy(output.logits()));
            losses.extend(self.of_paths(output, targets));
        }
        losses.extend(output.heads.iter().filter_map(|head| match head.role {
            HeadRole::Auxiliary(weight) => Some(cross_entropy(&head.logits) * weight),
            _ => None,
        }));
        let own = losses.iter().skip(1).fold(losses[0].shallow_clone(), |sum, loss| sum + loss);
        let task = if count == 1.0 { own.shallow_clone() } else { &own / count };
        let minimised = match (self.scale(output), count) {
            (scale, count) if scale == count => own,
            (1.0, _) => task.shallow_clone(),
            (scale, _) => &task * scale,
        };
        let routing = self.routing.total(&output.trace)?;
        let with_routing =
            |loss: Tensor| routing.as_ref().map_or_else(|| loss.shallow_clone(), |routing| &loss + routing);
        let (total, minimised) = (with_routing(task), with_routing(minimised));
        Ok(Loss { total, minimised, routing })
    }

    fn scale(&self, output: &Output) -> f64 {
        match self.path_gradients {
            PathGradients::Full => learners(output),
            PathGradients::Mean => 1.0,
        }
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
            path_gradients: recipe.train.path_gradients,
            path_loss: recipe.train.path_loss,
            routing: recipe.routing_loss.clone(),
        }
    }

    /// The mean of the losses that parallel paths have each by itself, with its weight, where it has one.
    fn of_paths(&self, output: &Output, targets: &Tensor) -> Option<Tensor> {
        let paths: Vec<&Tensor> = paths(output).collect();
        if self.path_loss == 0.0 || paths.len() < 2 {
            return None;
        }
        let losses: Vec<Tensor> = paths.into_iter().map(|logits| self.cross_entropy(logits, targets)).collect();
        Some(Tensor::stack(&losses, 0).mean(None) * self.path_loss)
    }

    fn cross_entropy(&self, logits: &Tensor, targets: &Tensor) -> Tensor {
        // In float32 at least: bfloat16 keeps eight bits, too few for small differences.
        let kind = if logits.kind() == Kind::Double { Kind::Double } else { Kind::Float };
        let weights = (!self.class_weights.is_empty())
            .then(|| Tensor::from_slice(&self.class_weights).to_kind(kind).to_device(logits.device()));
        logits.to_kind(kind).cross_entropy_loss(targets, weights, Reduction::Mean, -100, self.label_smoothing)
    }
}

/// How many networks learn side by side: the members of an ensemble, or the parallel paths that make the answer.
fn learners(output: &Output) -> f64 {
    match output.of(HeadRole::Member).count() {
        0 => paths(output).count().max(1) as f64,
        members => members as f64,
    }
}

/// The answers of the paths that make the network's first answer.
fn paths(output: &Output) -> impl Iterator<Item = &Tensor> {
    let name = output.heads.iter().find(|head| head.role == HeadRole::Final).map(|head| &head.name);
    output
        .heads
        .iter()
        .filter(move |head| head.role == HeadRole::Path && Some(&head.name) == name)
        .map(|head| &head.logits)
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

    /// What the backward pass starts from.
    fn minimised(config: &Classification, output: &Output) -> f64 {
        config.loss(output, &Targets::of(&Tensor::from_slice(&[1_i64]))).unwrap().minimised.double_value(&[])
    }

    #[test]
    fn the_backward_pass_takes_the_sum_over_members_and_so_many_times_the_loss_as_there_are_paths() {
        let (half, certain) = (2_f64.ln(), (4.0_f64 / 3.0).ln());
        let full = Classification::default();
        let mean = Classification { path_gradients: PathGradients::Mean, ..Classification::default() };
        let ensemble = output(logits(0.0, 100.0), vec![logits(0.0, 3_f64.ln()), logits(0.0, 0.0)]);
        assert!((minimised(&full, &ensemble) - (certain + half)).abs() < 1e-6);
        assert!((minimised(&mean, &ensemble) - (certain + half) / 2.0).abs() < 1e-6);

        let mut paths = output(logits(0.0, 3_f64.ln()), Vec::new());
        paths.heads.extend((0..3).map(|_| Head::new("class", HeadRole::Path, logits(0.0, 0.0))));
        assert!((minimised(&full, &paths) - 3.0 * certain).abs() < 1e-6);
        assert!((minimised(&mean, &paths) - certain).abs() < 1e-6);
        assert_loss(&full, &paths, certain);
        // The paths of another head do not make this one's answer.
        paths.heads.push(Head::new("colour", HeadRole::Path, logits(0.0, 0.0)));
        assert!((minimised(&full, &paths) - 3.0 * certain).abs() < 1e-6);
    }

    #[test]
    fn paths_may_learn_each_from_its_own_loss_beside_that_of_their_answer() {
        let (half, certain) = (2_f64.ln(), (4.0_f64 / 3.0).ln());
        let config = Classification { path_loss: 0.5, ..Classification::default() };
        let mut paths = output(logits(0.0, 3_f64.ln()), Vec::new());
        paths.heads.extend([0.0, 3_f64.ln()].map(|b| Head::new("class", HeadRole::Path, logits(0.0, b))));
        let expected = certain + 0.5 * (half + certain) / 2.0;
        assert_loss(&config, &paths, expected);
        assert!((minimised(&config, &paths) - 2.0 * expected).abs() < 1e-6);
    }

    #[test]
    fn auxiliary_heads_of_members_belong_to_them() {
        // Two members at ln 2 with auxiliary heads at ln 4/3 that weigh 0.3: each has ln 2 + 0.3 ln 4/3.
        let mut ensemble = output(logits(0.0, 0.0), vec![logits(0.0, 0.0), logits(0.0, 0.0)]);
        ensemble.heads.extend((0..2).map(|_| Head::new("aux", HeadRole::Auxiliary(0.3), logits(0.0, 3_f64.ln()))));
        let one = 2_f64.ln() + 0.3 * (4.0_f64 / 3.0).ln();
        assert_loss(&Classification::default(), &ensemble, one);
        assert!((minimised(&Classification::default(), &ensemble) - 2.0 * one).abs() < 1e-6);
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
