//! Curves as SVG coordinates: all that a template should not have to compute.

use serde::Serialize;

/// Size of a chart's drawing, in SVG units.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 240.0;
/// Space around the plot for the labels of its axes.
const LEFT: f64 = 48.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
/// More points than this are averaged in groups: a page of a long run stays small.
const MOST_POINTS: usize = 300;

/// A curve in data coordinates.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart as the template draws it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Chart {
    title: String,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    bottom: f64,
    x_ticks: Vec<Tick>,
    y_ticks: Vec<Tick>,
    curves: Vec<Curve>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Tick {
    at: f64,
    label: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Curve {
    name: String,
    /// The `points` of an SVG polyline.
    points: String,
    /// The last point, which gets a dot: a curve of one point is visible too.
    end: (f64, f64),
    last: String,
}

impl Chart {
    /// A chart of the curves that have points; `None` where none has. `percent` labels values from 0 to 1.
    pub(super) fn new(title: &str, series: Vec<Series>, percent: bool) -> Option<Self> {
        let series: Vec<Series> = series.into_iter().filter_map(thinned).collect();
        let all = || series.iter().flat_map(|series| series.points.iter().copied());
        let (x_low, x_high) = range(all().map(|(x, _)| x))?;
        let (y_low, y_high) = range(all().map(|(_, y)| y))?;
        let (x_axis, y_axis) = (Axis::new(x_low.min(0.0), x_high), Axis::new(y_low, y_high));
        let x_at = |x: f64| round(LEFT + x_axis.share(x) * (WIDTH - LEFT - RIGHT));
        let y_at = |y: f64| round(HEIGHT - BOTTOM - y_axis.share(y) * (HEIGHT - TOP - BOTTOM));
        let label = |y: f64, digits: usize| match percent {
            true => format!("{:.*}%", digits.saturating_sub(2), 100.0 * y),
            false => format!("{y:.digits$}"),
        };

        let tick = |at: f64, label: String| Tick { at, label };
        let x_ticks = x_axis.ticks().into_iter().map(|x| tick(x_at(x), format!("{:.*}", x_axis.digits(), x)));
        let y_ticks = y_axis.ticks().into_iter().map(|y| tick(y_at(y), label(y, y_axis.digits())));
        let curve = |series: &Series| {
            let points: Vec<(f64, f64)> = series.points.iter().map(|&(x, y)| (x_at(x), y_at(y))).collect();
            let last = series.points.last().map(|&(_, y)| label(y, (y_axis.digits() + 2).max(4))).unwrap_or_default();
            Curve {
                name: series.name.clone(),
                end: points.last().copied().unwrap_or_default(),
                points: points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "),
                last,
            }
        };
        Some(Self {
            title: title.to_owned(),
            width: WIDTH,
            height: HEIGHT,
            left: LEFT,
            right: WIDTH - RIGHT,
            bottom: HEIGHT - BOTTOM,
            x_ticks: x_ticks.collect(),
            y_ticks: y_ticks.collect(),
            curves: series.iter().map(curve).collect(),
        })
    }
}

/// From the lowest to the highest round number around the data.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn new(low: f64, high: f64) -> Self {
        let (low, high) = if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        let step = round_step((high - low) / 5.0);
        Self { low: (low / step + 1e-9).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|index| self.low + index as f64 * self.step).collect()
    }

    /// Decimal places that tell neighbouring ticks apart.
    fn digits(&self) -> usize {
        (-(self.step * 1.000_001).log10().floor()).max(0.0) as usize
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999).unwrap_or(10.0);
    factor * power
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// The finite points, averaged in equal groups where there are too many; `None` where there are none.
fn thinned(series: Series) -> Option<Series> {
    let points: Vec<(f64, f64)> = series.points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        let count = points.len() as f64;
        let (x, y) = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (x / count, y / count)
    };
    let points: Vec<(f64, f64)> = points.chunks(group).map(mean).collect();
    (!points.is_empty()).then_some(Series { name: series.name, points })
}

/// To a tenth: finer than a screen shows.
fn round(at: f64) -> f64 {
    (at * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(points: &[(f64, f64)]) -> Series {
        Series { name: "train".to_owned(), points: points.to_vec() }
    }

    #[test]
    fn axes_end_at_round_numbers() {
        // (2.31 - 0.42) / 5 = 0.378, rounded up to 0.5: from 0 to 2.5.
        let axis = Axis::new(0.42, 2.31);
        assert_eq!(axis.ticks(), [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]);
        assert_eq!(axis.digits(), 1);
        // Round data are not given another step of space.
        assert_eq!(Axis::new(0.0, 10.0).ticks(), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Axis::new(0.0, 10.0).digits(), 0);
        assert_eq!(Axis::new(0.91, 0.914).digits(), 3);
    }

    #[test]
    fn points_are_placed_from_the_lower_left() {
        let chart = Chart::new("loss", vec![series(&[(0.0, 0.0), (10.0, 5.0)])], false).unwrap();
        assert_eq!(chart.curves[0].points, "48,214 548,10");
        assert_eq!(chart.curves[0].end, (548.0, 10.0));
        assert_eq!(chart.curves[0].last, "5.0000");
    }

    #[test]
    fn one_point_or_equal_points_still_make_a_chart() {
        let chart = Chart::new("loss", vec![series(&[(1.0, 0.5)])], true).unwrap();
        assert!(chart.curves[0].end.0.is_finite() && chart.curves[0].end.1.is_finite());
    }

    #[test]
    fn nothing_finite_makes_no_chart() {
        assert_eq!(Chart::new("loss", vec![series(&[]), series(&[(1.0, f64::NAN)])], false), None);
    }

    #[test]
    fn many_points_are_averaged_in_groups() {
        // 600 points in pairs: the first has the mean of 0 and 1.
        let points: Vec<(f64, f64)> = (0..600).map(|x| (x as f64, x as f64)).collect();
        let thinned = thinned(series(&points)).unwrap();
        assert_eq!((thinned.points.len(), thinned.points[0]), (300, (0.5, 0.5)));
    }
}
