//! Tables of coloured cells.

use serde::Serialize;

/// A line of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cell {
    value: String,
    /// Opacity of the colour, 0 to 1.
    strength: f64,
    /// The other colour: less than the mean, or wrong.
    below: bool,
}

/// A cell whose colour is as strong as the size of `strength`, up to 1; a negative one has the other colour.
pub(super) fn cell(value: String, strength: f64) -> Cell {
    let size = if strength.is_nan() { 0.0 } else { strength.abs().min(1.0) };
    Cell { value, strength: (size * 100.0).round() / 100.0, below: strength < 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_is_at_most_full_and_never_undefined() {
        let found = [0.256, -0.5, 7.0, f64::NEG_INFINITY, f64::NAN].map(|strength| {
            let cell = cell(String::new(), strength);
            (cell.strength, cell.below)
        });
        assert_eq!(found, [(0.26, false), (0.5, true), (1.0, false), (1.0, true), (0.0, false)]);
    }
}
