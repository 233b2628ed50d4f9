use serde::{Deserialize, Serialize};

use super::{Course, Settings, Span};
use crate::Error;

/// The rate stays what it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct ConstantConfig {}

impl Settings for ConstantConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(Constant(span.base))
    }

    fn check(&self, _lr: f64) -> Result<(), Error> {
        Ok(())
    }

    fn when_longer(&self, rate: f64) -> Option<String> {
        Some(format!("the learning rate stays {rate:.3e}"))
    }
}

struct Constant(f64);

impl Course for Constant {
    fn rate(&self, _step: u64) -> f64 {
        self.0
    }
}
