use std::collections::HashSet;

use tch::Tensor;

use super::Optimiser;

/// One rule for all parameters, at a multiple of the learning rate for each group of them, as PyTorch's parameter groups: the
/// decay that a rule takes off by its rate has the same multiple.
pub struct Grouped {
    /// Each with its factor.
    groups: Vec<(f64, Box<dyn Optimiser>)>,
}

impl Grouped {
    /// The rule of each group, with the factor of its rate.
    pub fn new(groups: Vec<(f64, Box<dyn Optimiser>)>) -> Self {
        Self { groups }
    }
}

impl Optimiser for Grouped {
    fn step(&mut self, rate: f64) {
        for (factor, rule) in &mut self.groups {
            rule.step(rate * *factor);
        }
    }

    /// What several groups keep under one name, such as their number of steps, has the group's number behind it.
    fn state(&self) -> Vec<(String, Tensor)> {
        let mut names = HashSet::new();
        let of_group = |(number, (_, rule)): (usize, &(f64, Box<dyn Optimiser>))| {
            rule.state().into_iter().map(move |(name, tensor)| (number, name, tensor))
        };
        let all = self.groups.iter().enumerate().flat_map(of_group);
        all.map(|(number, name, tensor)| match names.insert(name.clone()) {
            true => (name, tensor),
            false => (format!("{name}/{number}"), tensor),
        })
        .collect()
    }
}
