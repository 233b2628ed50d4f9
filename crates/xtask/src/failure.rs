//! What can go wrong in a task: one line for the user and the exit code that goes with it.

use std::fmt;

/// A task that could not be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Bad usage, or something the machine lacks: exit code 2.
    Setup(String),
    /// A step that ran and failed: exit code 1.
    Step(String),
}

impl Failure {
    pub(crate) fn setup(message: impl Into<String>) -> Self {
        Self::Setup(message.into())
    }

    pub(crate) fn step(message: impl Into<String>) -> Self {
        Self::Step(message.into())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Setup(_) => 2,
            Self::Step(_) => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setup(message) | Self::Step(message) => f.write_str(message),
        }
    }
}
