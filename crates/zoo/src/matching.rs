//! The size of a family that comes nearest to a cost: what fair comparisons are made of.

use crate::{Error, Family, ModelName, Variant};

/// The single network of `family` whose `cost` comes nearest to `goal` by ratio, and that cost. `cost` is asked of names; it
/// must not fall as the family's knob grows.
///
/// ```
/// use mp_zoo::{InputSize, ModelOptions, cost_of, families, nearest_size};
///
/// let options = ModelOptions::new(InputSize { channels: 3, size: 32, classes: 10 });
/// let parameters = |name: &str| cost_of(name, &options).map(|cost| cost.parameters as f64);
/// let three_paths = parameters("resnet20_x3_cc")?;
/// let resnet20 = families().into_iter().find(|family| family.name == "resnet20").unwrap();
/// let (name, cost) = nearest_size(resnet20, three_paths, parameters)?;
/// assert_eq!(name, "resnet20_w28");
/// assert!((cost / three_paths - 1.0).abs() < 0.02);
/// # Ok::<(), mp_zoo::Error>(())
/// ```
///
/// # Errors
/// Those of `cost`, such as images that the family does not take.
pub fn nearest_size(
    family: &'static Family,
    goal: f64,
    mut cost: impl FnMut(&str) -> Result<f64, Error>,
) -> Result<(String, f64), Error> {
    let knob = &family.knob;
    let name = |value: i64| {
        let size = (value != knob.default).then_some(value);
        ModelName { family, size, variant: Variant::Single }.to_string()
    };
    let mut of = |value: i64| cost(&name(value));
    // The largest known to cost less than the goal, and the least known not to.
    let mut below = (knob.least, of(knob.least)?);
    if below.1 >= goal {
        return Ok((name(below.0), below.1));
    }
    let mut above = None;
    while above.is_none() && below.0 < knob.most {
        // Twice the size is at most some four times the cost: no network much larger than the goal is ever counted.
        let value = (2 * below.0).min(knob.most);
        let found = (value, of(value)?);
        if found.1 < goal { below = found } else { above = Some(found) }
    }
    let Some(mut above) = above else { return Ok((name(below.0), below.1)) };
    while above.0 - below.0 > 1 {
        let value = below.0 + (above.0 - below.0) / 2;
        let found = (value, of(value)?);
        if found.1 < goal { below = found } else { above = found }
    }
    let nearest = if above.1 / goal < goal / below.1 { above } else { below };
    Ok((name(nearest.0), nearest.1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::families;

    fn nearest(goal: f64) -> (String, f64) {
        let resnet20 = families().into_iter().find(|family| family.name == "resnet20").unwrap();
        // The square of the width, and 256 for the published network.
        let cost = |name: &str| {
            let width: f64 = name.strip_prefix("resnet20_w").map_or(16.0, |width| width.parse().unwrap());
            Ok(width * width)
        };
        nearest_size(resnet20, goal, cost).unwrap()
    }

    #[test]
    fn the_nearest_by_ratio_is_taken() {
        assert_eq!(nearest(900.0), ("resnet20_w30".to_owned(), 900.0));
        // Widths of 5 and 6 cost 25 and 36; their geometric middle is 30.
        assert_eq!(nearest(24.0).0, "resnet20_w5");
        assert_eq!(nearest(29.9).0, "resnet20_w5");
        assert_eq!(nearest(30.1).0, "resnet20_w6");
        assert_eq!(nearest(250.0).0, "resnet20", "the published network goes by its own name");
    }

    #[test]
    fn goals_beyond_the_range_get_its_ends() {
        assert_eq!(nearest(0.1).0, "resnet20_w1");
        assert_eq!(nearest(1e12).0, "resnet20_w4096");
    }
}
