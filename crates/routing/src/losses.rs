//! Losses on the routes: functions of a [`Trace`] that keep gates balanced, sharp or small.
//!
//! A *router* is what chooses: a source among targets, or, under [`Normalisation::Sources`](crate::Normalisation), a target
//! among sources; `R` routers of a layer choose among `E`. A loss is computed for each router, then averaged over the
//! routers of a layer and over the layers, so that its weight does not depend on how many there are.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::normalisation::at_least_float;
use crate::{Error, Normalisation, Trace, TracedLayer};

/// How far the shares of the routes differ: `CV²` (variance over squared mean) of `sum_b g`, 0 where all are used alike.
/// Shazeer et al., arXiv 1701.06538, equation 7.
///
/// # Errors
/// [`Error::EmptyTrace`].
pub fn importance(trace: &Trace) -> Result<Tensor, Error> {
    over_layers(trace, "importance loss", |layer| Ok(cv_squared(&sum_over_batch(&weights(layer)))))
}

/// How far the routes differ in how often they win: `CV²` of `sum_b P(route e wins)`, where the probability is
/// `Φ((a_e - max of the others) / σ)` for logits `a` that noise of deviation `sigma` would have blurred.
///
/// The smooth load of Shazeer et al., arXiv 1701.06538, appendix A, without drawing the noise.
///
/// # Errors
/// [`Error::EmptyTrace`], [`Error::NoLogits`], or a `sigma` that is not above 0.
pub fn load(trace: &Trace, sigma: f64) -> Result<Tensor, Error> {
    if !(sigma > 0.0 && sigma.is_finite()) {
        return Err(Error::config("sigma of the load loss", "a finite number above 0", sigma));
    }
    over_layers(trace, "load loss", |layer| {
        let logits = logits(layer, "load loss")?;
        let choices = logits.size()[2];
        let itself = Tensor::eye(choices, (Kind::Bool, logits.device()));
        // [B, R, E, E]: row e holds the logits of the routes other than e.
        let others = logits.unsqueeze(2).masked_fill(&itself, f64::NEG_INFINITY).amax([-1_i64], false);
        let wins = ((&logits - others) / sigma).special_ndtr();
        Ok(cv_squared(&sum_over_batch(&wins)))
    })
}

/// `E · sum_e f_e P_e`: `f_e` is the share of samples whose largest weight is `e` (no gradient), `P_e` the mean of its
/// weights, with sigmoid weights divided by their sum. 1 where all routes are used alike, `E` where all samples take one.
///
/// Where targets were chosen, `f_e` is the share of samples that chose `e`, `P_e` the mean of its probabilities over the samples
/// that the source had.
///
/// GShard, arXiv 2006.16668, section 2.2; Switch Transformer, arXiv 2101.03961, equation 4; the division, DeepSeek-V3,
/// arXiv 2412.19437, section 2.1.2.
///
/// # Errors
/// [`Error::EmptyTrace`].
pub fn balance(trace: &Trace) -> Result<Tensor, Error> {
    over_layers(trace, "balance loss", |layer| {
        if let (Some(chosen), Some(scores)) = (&layer.decision.chosen, &layer.decision.logits) {
            return Ok(balance_of_chosen(chosen, &layer.decision.normalisation.apply(scores)));
        }
        let mut shares = weights(layer);
        if layer.decision.normalisation == Normalisation::Sigmoid {
            shares = &shares / shares.sum_dim_intlist([2_i64].as_slice(), true, None);
        }
        let choices = shares.size()[2];
        let chosen = shares.argmax(2, false).one_hot(choices).to_kind(shares.kind());
        let used = chosen.mean_dim([0_i64].as_slice(), false, None);
        let mean = shares.mean_dim([0_i64].as_slice(), false, None);
        Ok((used * mean).sum_dim_intlist([1_i64].as_slice(), false, None) * choices as f64)
    })
}

/// The balance of choices `[B, S, T]` with probabilities `[B, S, T]`, over the sources that had samples; 1 for one that had none.
fn balance_of_chosen(chosen: &Tensor, probabilities: &Tensor) -> Tensor {
    let over_samples = [0_i64];
    let had = chosen.any_dim(2, true).to_kind(probabilities.kind());
    let count = had.sum_dim_intlist(over_samples.as_slice(), false, None).clamp_min(1.0);
    let used = chosen.sum_dim_intlist(over_samples.as_slice(), false, probabilities.kind()) / &count;
    let mean = (probabilities * &had).sum_dim_intlist(over_samples.as_slice(), false, None) / &count;
    let balance = (used * mean).sum_dim_intlist([1_i64].as_slice(), false, None) * chosen.size()[2] as f64;
    let had_any = had.any_dim(0, false).squeeze_dim(1);
    balance.where_scalarother(&had_any, 1.0)
}

/// `mean over b of (log sum_e exp a_e)²`, which keeps logits small. ST-MoE, arXiv 2202.08906, equation 5.
///
/// # Errors
/// [`Error::EmptyTrace`], [`Error::NoLogits`].
pub fn z_loss(trace: &Trace) -> Result<Tensor, Error> {
    over_layers(trace, "z-loss", |layer| {
        let partition = logits(layer, "z-loss")?.logsumexp([2_i64], false);
        Ok(partition.square().mean_dim([0_i64].as_slice(), false, None))
    })
}

/// Mean entropy of a sample's weights, in nats: `-sum_e g log g`, or for sigmoid weights the sum of the entropies of `E`
/// coins. A positive weight sharpens the gates, a negative one spreads them.
///
/// # Errors
/// [`Error::EmptyTrace`].
pub fn entropy(trace: &Trace) -> Result<Tensor, Error> {
    over_layers(trace, "entropy loss", |layer| {
        Ok(entropies(&weights(layer), layer.decision.normalisation).mean_dim([0_i64].as_slice(), false, None))
    })
}

/// `mean over pairs (i, j) of (mean over b of g_ij - rate)²`: holds every connection to a share of the samples. Of a layer
/// that may be skipped, only the connection that runs it is held.
///
/// Veit and Belongie, "Convolutional Networks with Adaptive Inference Graphs" (arXiv 1711.11503). The mean over the layers is
/// that of the authors' code, with a weight of 2; the paper has the sum, with a weight of 1: a weight of as many as there are
/// layers here.
///
/// # Errors
/// [`Error::EmptyTrace`], or a rate outside 0 to 1.
pub fn target_rate(trace: &Trace, rate: f64) -> Result<Tensor, Error> {
    if !(0.0..=1.0).contains(&rate) {
        return Err(Error::config("rate of the target-rate loss", "0 to 1", rate));
    }
    over_layers(trace, "target-rate loss", |layer| {
        let rates = weights(layer).mean_dim([0_i64].as_slice(), false, None);
        let rates = if layer.decision.is_skip() { rates.narrow(1, 1, 1) } else { rates };
        Ok((rates - rate).square().mean_dim([1_i64].as_slice(), false, None))
    })
}

/// How far the information of routes about images is below a floor, in nats: `max(0, floor - (H(mean over b of g) - mean over b
/// of H(g)))`, 0 from the floor on. It asks for both: routes that are all used, and images that are sure of theirs.
///
/// The difference of entropies is the mutual information of image and route, as in Bridle et al., "Unsupervised Classifiers,
/// Mutual Information and 'Phantom Targets'" (NeurIPS 1991); the floor is ours, so that nothing is asked beyond it.
///
/// # Errors
/// [`Error::EmptyTrace`], or a floor below 0.
pub fn information(trace: &Trace, floor: f64) -> Result<Tensor, Error> {
    if !(floor >= 0.0 && floor.is_finite()) {
        return Err(Error::config("floor of the information loss", "a finite number, 0 or above", floor));
    }
    over_layers(trace, "information loss", |layer| {
        let (weights, normalisation) = (weights(layer), layer.decision.normalisation);
        let of_mean = entropies(&weights.mean_dim([0_i64].as_slice(), true, None), normalisation).squeeze_dim(0);
        let mean = entropies(&weights, normalisation).mean_dim([0_i64].as_slice(), false, None);
        Ok((mean - of_mean + floor).relu())
    })
}

/// The losses of a recipe: a weight each, 0 for off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingLossConfig {
    /// Weight of [`importance`], at least 0.
    pub importance: f64,
    /// Weight of [`load`], at least 0.
    pub load: f64,
    /// Deviation of the noise that [`load`] stands for, above 0.
    pub load_sigma: f64,
    /// Weight of [`balance`], at least 0.
    pub balance: f64,
    /// Weight of [`z_loss`], at least 0.
    pub z_loss: f64,
    /// Weight of [`entropy`]; may be negative.
    pub entropy: f64,
    /// Weight and rate of [`target_rate`].
    pub target_rate: TargetRate,
    /// Weight and floor of [`information`].
    pub information: Information,
}

/// The information loss of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Information {
    /// Weight of [`information`], at least 0.
    pub weight: f64,
    /// The mutual information, in nats, from which on nothing is lost; at least 0. At most `ln E` can be reached.
    pub floor: f64,
}

impl Default for Information {
    fn default() -> Self {
        Information { weight: 0.0, floor: 0.3 }
    }
}

/// The target-rate loss of a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetRate {
    /// Weight of [`target_rate`], at least 0.
    pub weight: f64,
    /// The mean weight that every connection is held to, 0 to 1.
    pub rate: f64,
}

impl Default for TargetRate {
    fn default() -> Self {
        TargetRate { weight: 0.0, rate: 0.5 }
    }
}

impl Default for RoutingLossConfig {
    fn default() -> Self {
        RoutingLossConfig {
            importance: 0.0,
            load: 0.0,
            load_sigma: 1.0,
            balance: 0.0,
            z_loss: 0.0,
            entropy: 0.0,
            target_rate: TargetRate::default(),
            information: Information::default(),
        }
    }
}

/// One loss of a recipe, for one batch.
#[derive(Debug)]
pub struct RoutingLoss {
    /// Its name, as in the recipe.
    pub name: &'static str,
    /// Its weight in the total.
    pub weight: f64,
    /// Its value before the weight, a scalar.
    pub value: Tensor,
}

impl RoutingLossConfig {
    /// Checks the ranges, also of losses that are off.
    ///
    /// # Errors
    /// The first value outside its range.
    pub fn check(&self) -> Result<(), Error> {
        for (name, weight) in [
            ("importance", self.importance),
            ("load", self.load),
            ("balance", self.balance),
            ("z_loss", self.z_loss),
            ("target_rate.weight", self.target_rate.weight),
            ("information.weight", self.information.weight),
            ("information.floor", self.information.floor),
        ] {
            if !(weight >= 0.0 && weight.is_finite()) {
                return Err(Error::config(
                    format!("routing loss weight `{name}`"),
                    "a finite number, 0 or above",
                    weight,
                ));
            }
        }
        if !self.entropy.is_finite() {
            return Err(Error::config("routing loss weight `entropy`", "a finite number", self.entropy));
        }
        if !(self.load_sigma > 0.0 && self.load_sigma.is_finite()) {
            return Err(Error::config("routing loss `load_sigma`", "a finite number above 0", self.load_sigma));
        }
        if !(0.0..=1.0).contains(&self.target_rate.rate) {
            return Err(Error::config("routing loss `target_rate.rate`", "0 to 1", self.target_rate.rate));
        }
        Ok(())
    }

    /// The losses that are on, one by one.
    ///
    /// # Errors
    /// A value out of range; for a loss that is on, those of its function.
    pub fn terms(&self, trace: &Trace) -> Result<Vec<RoutingLoss>, Error> {
        self.check()?;
        let mut terms = Vec::new();
        let mut add = |name, weight: f64, value: &dyn Fn() -> Result<Tensor, Error>| {
            if weight != 0.0 {
                terms.push(RoutingLoss { name, weight, value: value()? });
            }
            Ok::<(), Error>(())
        };
        add("importance", self.importance, &|| importance(trace))?;
        add("load", self.load, &|| load(trace, self.load_sigma))?;
        add("balance", self.balance, &|| balance(trace))?;
        add("z_loss", self.z_loss, &|| z_loss(trace))?;
        add("entropy", self.entropy, &|| entropy(trace))?;
        add("information", self.information.weight, &|| information(trace, self.information.floor))?;
        add("target_rate", self.target_rate.weight, &|| target_rate(trace, self.target_rate.rate))?;
        Ok(terms)
    }

    /// The weighted sum of the losses that are on, a scalar in float32 at least; `None` if all are off.
    ///
    /// # Errors
    /// As [`RoutingLossConfig::terms`].
    pub fn total(&self, trace: &Trace) -> Result<Option<Tensor>, Error> {
        Ok(self.terms(trace)?.into_iter().map(|term| term.value * term.weight).reduce(|a, b| a + b))
    }
}

/// The mean over layers of the mean over routers of `loss`, which gives `[R]`.
fn over_layers(
    trace: &Trace,
    quantity: &'static str,
    loss: impl Fn(&TracedLayer) -> Result<Tensor, Error>,
) -> Result<Tensor, Error> {
    if trace.is_empty() {
        return Err(Error::EmptyTrace { quantity });
    }
    let layers: Vec<Tensor> =
        trace.layers.iter().map(|layer| Ok(loss(layer)?.mean(None))).collect::<Result<_, Error>>()?;
    Ok(Tensor::stack(&layers, 0).mean(None))
}

/// `[B, R, E]`, in float32 at least.
fn weights(layer: &TracedLayer) -> Tensor {
    layer.decision.normalisation.routers(&at_least_float(&layer.decision.weights))
}

/// `[B, R, E]`, in float32 at least.
fn logits(layer: &TracedLayer, loss: &'static str) -> Result<Tensor, Error> {
    let logits = layer.decision.logits.as_ref();
    let logits = logits.ok_or_else(|| Error::NoLogits { loss, layer: layer.name.clone() })?;
    Ok(layer.decision.normalisation.routers(&at_least_float(logits)))
}

fn sum_over_batch(x: &Tensor) -> Tensor {
    x.sum_dim_intlist([0_i64].as_slice(), false, None)
}

/// Variance over squared mean of each row: `[R, E]` to `[R]`.
fn cv_squared(x: &Tensor) -> Tensor {
    // So that shares of nothing (sigmoid gates all closed) are even, not NaN.
    const TINY: f64 = 1e-10;
    let mean = x.mean_dim([1_i64].as_slice(), false, None);
    x.var_dim([1_i64].as_slice(), false, false) / (mean.square() + TINY)
}

/// Entropy in nats of each router's weights: `[.., R, E]` to `[.., R]`; of sigmoid weights, the sum over `E` coins.
pub(crate) fn entropies(weights: &Tensor, normalisation: Normalisation) -> Tensor {
    let each = match normalisation {
        Normalisation::Targets | Normalisation::Sources => minus_p_log_p(weights),
        Normalisation::Sigmoid => minus_p_log_p(weights) + minus_p_log_p(&(1.0 - weights)),
    };
    each.sum_dim_intlist([-1_i64].as_slice(), false, None)
}

/// `-p log p`, 0 with a finite gradient at `p = 0`.
fn minus_p_log_p(p: &Tensor) -> Tensor {
    -(p * p.clamp_min(f64::from(f32::MIN_POSITIVE)).log())
}

#[cfg(test)]
mod tests;
