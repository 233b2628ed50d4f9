//! Parallel paths and the members of ensembles learn at the rate of the recipe, as networks alone do.

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_train::Recipe;
use mp_train::learn::{Classification, Learner, Objective, Targets};
use mp_train::optim::{self, OptimiserConfig};
use mp_train::recipe::PathGradients;
use mp_zoo::{InputSize, Model, ModelOptions};

const STEPS: i64 = 4;

/// Of ten classes and colour images of 32x32.
fn options() -> ModelOptions {
    ModelOptions::new(InputSize { channels: 3, size: 32, classes: 10 })
}

/// A model in float64 with what trains it.
struct Run {
    store: Store,
    model: Model,
    optimiser: Box<dyn optim::Optimiser>,
    objective: Classification,
}

impl Run {
    fn new(name: &str, optimiser: &str) -> Self {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 5);
        let model = mp_zoo::build(name, &options(), &store.root()).unwrap();
        let config: OptimiserConfig = toml::from_str(optimiser).unwrap();
        let optimiser = optim::build(&config, store.parameters());
        Run { store, model, optimiser, objective: Classification { label_smoothing: 0.1, ..Default::default() } }
    }

    fn step(&mut self, at: i64) {
        let (images, labels) = batch(at, Kind::Double);
        let output = self.model.forward(&images, Mode::Train);
        self.objective.loss(&output, &Targets::of(&labels)).unwrap().minimised.backward();
        self.optimiser.step(0.05);
        for mut parameter in self.store.parameters() {
            parameter.tensor.zero_grad();
        }
    }

    /// The tensors whose names begin so, without that beginning.
    fn below(&self, place: &str) -> Vec<(String, Tensor)> {
        below(&self.store, place)
    }
}

fn below(store: &Store, place: &str) -> Vec<(String, Tensor)> {
    let all = store.entries().into_iter();
    all.filter_map(|entry| Some((entry.name.strip_prefix(place)?.to_owned(), entry.tensor))).collect()
}

/// Six images of 32x32 with their labels, the same in every run.
fn batch(at: i64, kind: Kind) -> (Tensor, Tensor) {
    tch::manual_seed(at);
    let images = Tensor::randn([6, 3, 32, 32], (kind, Device::Cpu));
    (images, Tensor::from_slice(&[0_i64, 1, 2, 3, 4, 5]))
}

fn copy(from: &[(String, Tensor)], to: &[(String, Tensor)]) {
    let _guard = tch::no_grad_guard();
    assert_eq!(from.len(), to.len());
    for ((name, source), (found, target)) in from.iter().zip(to) {
        assert_eq!(name, found);
        target.shallow_clone().copy_(source);
    }
}

/// The greatest difference between tensors of the same names.
fn difference(a: &[(String, Tensor)], b: &[(String, Tensor)]) -> f64 {
    let of = |((name, a), (found, b)): (&(String, Tensor), &(String, Tensor))| {
        assert_eq!(name, found);
        (a - b).abs().max().to_kind(Kind::Double).double_value(&[])
    };
    a.iter().zip(b).map(of).fold(0.0, f64::max)
}

const RULES: [&str; 2] =
    ["name = \"sgd\"\nmomentum = 0.9\nnesterov = true\nweight_decay = 5e-4", "name = \"adamw\"\nweight_decay = 0.05"];

/// Trains an ensemble beside networks alone that start from its members' weights.
fn members_follow_single_networks(single: &str, members: usize) {
    for rule in RULES {
        let mut ensemble = Run::new(&format!("{single}_e{members}"), rule);
        let mut alone: Vec<Run> = (0..members).map(|_| Run::new(single, rule)).collect();
        let place = |member: usize| format!("member{}.", member + 1);
        for (member, network) in alone.iter().enumerate() {
            copy(&ensemble.below(&place(member)), &network.below(""));
        }
        for step in 0..STEPS {
            // Dropout of auxiliary heads, if any, would draw from one stream here and from several there.
            ensemble.step(step);
            for (member, network) in alone.iter_mut().enumerate() {
                network.step(step);
                let found = difference(&ensemble.below(&place(member)), &network.below(""));
                assert!(found < 1e-12, "{single}, {rule}: member {member} is off by {found} after step {step}");
            }
        }
    }
}

#[test]
fn members_of_an_ensemble_follow_single_networks_step_by_step() {
    members_follow_single_networks("base_cnn_w8", 3);
}

#[test]
fn members_with_residual_blocks_do_too() {
    members_follow_single_networks("resnet8_w8", 2);
}

#[test]
fn members_with_squeeze_excitation_do_too() {
    members_follow_single_networks("seresnet20_w4", 2);
}

/// P paths without routing that start alike are P times the one network: each stays what the network alone becomes.
fn paths_follow_the_single_network(single: &str, paths: usize) {
    let rule = RULES[0];
    let mut network = Run::new(single, rule);
    let mut parallel = Run::new(&format!("{single}_x{paths}"), rule);
    let of_path = |run: &Run, path: usize| -> Vec<Tensor> {
        let place = format!("path{path}.");
        run.store.entries().into_iter().filter(|entry| entry.name.contains(&place)).map(|entry| entry.tensor).collect()
    };
    let whole = || network.store.entries().into_iter().map(|entry| entry.tensor);
    {
        let _guard = tch::no_grad_guard();
        for path in 1..=paths {
            let tensors = of_path(&parallel, path);
            assert_eq!(tensors.len(), whole().count());
            for (mut tensor, source) in tensors.into_iter().zip(whole()) {
                tensor.copy_(&source);
            }
        }
    }
    for step in 0..STEPS {
        network.step(step);
        parallel.step(step);
        for path in 1..=paths {
            for (tensor, entry) in of_path(&parallel, path).into_iter().zip(network.store.entries()) {
                let off = (tensor - &entry.tensor).abs().max().to_kind(Kind::Double).double_value(&[]);
                assert!(off < 1e-12, "{single}: `{}` of path {path} is off by {off} after step {step}", entry.name);
            }
        }
    }
}

#[test]
fn paths_learn_at_the_rate_of_the_single_network() {
    paths_follow_the_single_network("base_cnn_w8", 3);
    paths_follow_the_single_network("resnet8_w8", 2);
}

#[test]
fn members_are_clipped_each_by_its_own_norm() {
    let mut recipe = Recipe::default();
    recipe.train.clip_norm = 0.01;
    let learner = |name: &str| Learner::new(name, &options(), &recipe, Device::Cpu).unwrap();
    let (mut ensemble, mut alone) = (learner("base_cnn_w4_e2"), learner("base_cnn_w4"));
    copy(&below(ensemble.store(), "member2."), &below(alone.store(), ""));
    for step in 0..STEPS {
        let (images, labels) = batch(step, Kind::Float);
        for learner in [&mut ensemble, &mut alone] {
            learner.accumulate(&images, &labels, None, 1.0).unwrap();
            learner.step(0.5);
        }
    }
    let found = difference(&below(ensemble.store(), "member2."), &below(alone.store(), ""));
    assert!(found < 1e-6, "off by {found}");
}

#[test]
fn what_a_run_of_an_earlier_version_keeps_says_nothing_and_means_the_mean() {
    let root = tempfile::tempdir().unwrap();
    let gradients = |name: &str, line: &str| {
        let folder = root.path().join(format!("{name}{}", line.len()));
        std::fs::create_dir(&folder).unwrap();
        let text = format!("[model]\nname = \"{name}\"\n[data]\nname = \"digits\"\n[train]\nepochs = 3\n{line}");
        std::fs::write(folder.join("recipe.toml"), text).unwrap();
        mp_train::RunFolder::open(&folder).unwrap().recipe().unwrap().train.path_gradients
    };
    assert_eq!(gradients("resnet20_x3_cc", ""), PathGradients::Mean);
    assert_eq!(gradients("resnet20_e3", ""), PathGradients::Mean);
    assert_eq!(gradients("resnet20_x3_cc", "path_gradients = \"full\""), PathGradients::Full);
    // One path has all of the gradient either way.
    assert_eq!(gradients("resnet20", ""), PathGradients::Full);
}
