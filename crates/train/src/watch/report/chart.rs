//! Curves as SVG coordinates: all that a template should not have to compute.

use serde::Serialize;

use super::axis::Axis;

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
    /// How many values are not finite.
    not_drawn: usize,
}

impl Chart {
    /// A chart of the curves that have points; `None` where none has. `percent` labels values from 0 to 1.
    pub(super) fn new(title: &str, series: Vec<Series>, percent: bool) -> Option<Self> {
        let curves: Vec<Thinned> = series.into_iter().filter_map(thinned).collect();
        let all = || curves.iter().flat_map(|curve| curve.points.iter().copied());
        let (x_low, x_high) = range(all().map(|(x, _)| x))?;
        let (y_low, y_high) = range(all().map(|(_, y)| y))?;
        let (x_axis, y_axis) = (Axis::new(x_low.min(0.0), x_high), Axis::new(y_low, y_high));
        let x_at = |x: f64| round(LEFT + x_axis.share(x) * (WIDTH - LEFT - RIGHT));
        let y_at = |y: f64| round(HEIGHT - BOTTOM - y_axis.share(y) * (HEIGHT - TOP - BOTTOM));
        let label = |y: f64, more: usize| match percent {
            true if y_axis.is_plain() => format!("{:.*}%", (y_axis.digits() + more).saturating_sub(2), 100.0 * y),
            _ => y_axis.label(y, more),
        };

        let tick = |at: f64, label: String| Tick { at, label };
        let x_ticks = x_axis.ticks().into_iter().map(|x| tick(x_at(x), x_axis.label(x, 0)));
        let y_ticks = y_axis.ticks().into_iter().map(|y| tick(y_at(y), label(y, 0)));
        let curve = |curve: &Thinned| {
            let points: Vec<(f64, f64)> = curve.points.iter().map(|&(x, y)| (x_at(x), y_at(y))).collect();
            let more = 2.max(4_usize.saturating_sub(y_axis.digits()));
            Curve {
                name: curve.name.clone(),
                end: points.last().copied().unwrap_or_default(),
                points: points.iter().map(|(x, y)| format!("{x},{y}")).collect::<Vec<_>>().join(" "),
                last: curve.points.last().map(|&(_, y)| label(y, more)).unwrap_or_default(),
                not_drawn: curve.not_finite,
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
            curves: curves.iter().map(curve).collect(),
        })
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((low.min(value), high.max(value))),
    })
}

/// A curve that can be drawn.
struct Thinned {
    name: String,
    points: Vec<(f64, f64)>,
    not_finite: usize,
}

/// The finite points, averaged in equal groups where there are too many; `None` where there are none.
fn thinned(series: Series) -> Option<Thinned> {
    let total = series.points.len();
    let points: Vec<(f64, f64)> = series.points.into_iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let not_finite = total - points.len();
    let group = points.len().div_ceil(MOST_POINTS).max(1);
    let mean = |points: &[(f64, f64)]| {
        // Divided before they are added, so that no sum overflows.
        let share = 1.0 / points.len() as f64;
        points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + share * point.0, sum.1 + share * point.1))
    };
    let points: Vec<(f64, f64)> = points.chunks(group).map(mean).collect();
    (!points.is_empty()).then_some(Thinned { name: series.name, points, not_finite })
}

/// To a tenth: finer than a screen shows.
fn round(at: f64) -> f64 {
    (at * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    #[test]
    fn values_that_are_not_finite_are_counted() {
        let points = [(1.0, 2.0), (2.0, f64::INFINITY), (3.0, f64::NAN), (4.0, 1.0)];
        let chart = Chart::new("loss", vec![series(&points)], false).unwrap();
        assert_eq!((chart.curves[0].not_drawn, chart.curves[0].points.matches(',').count()), (2, 2));
    }

    #[test]
    fn absurd_values_have_short_labels() {
        let chart = Chart::new("loss", vec![series(&[(1.0, 1e9), (2.0, 5e9)])], false).unwrap();
        let labels: Vec<&str> = chart.y_ticks.iter().map(|tick| tick.label.as_str()).collect();
        assert_eq!(labels, ["1.0e9", "2.0e9", "3.0e9", "4.0e9", "5.0e9"]);
        assert_eq!(chart.curves[0].last, "5.00000e9");
        // The axis ends at round numbers: 0.0000005 and 0.000001.
        let chart = Chart::new("rate", vec![series(&[(1.0, 1e-9), (2.0, 2e-9)])], false).unwrap();
        assert!(chart.y_ticks.iter().all(|tick| tick.label.len() < 8), "{:?}", chart.y_ticks);
    }

    proptest! {
        #[test]
        fn any_numbers_make_a_chart_of_a_few_ticks_inside_its_frame(
            points in proptest::collection::vec((absurd(), absurd()), 1..6),
            percent: bool,
        ) {
            let drawable = points.iter().any(|(x, y)| x.is_finite() && y.is_finite());
            let chart = Chart::new("loss", vec![series(&points)], percent);
            prop_assert_eq!(chart.is_some(), drawable);
            if let Some(chart) = chart {
                for ticks in [&chart.x_ticks, &chart.y_ticks] {
                    prop_assert!((1..=12).contains(&ticks.len()), "{ticks:?}");
                    prop_assert!(ticks.iter().all(|tick| tick.label.len() <= 24), "{ticks:?}");
                }
                let (x, y) = chart.curves[0].end;
                prop_assert!((LEFT..=WIDTH - RIGHT).contains(&x) && (TOP..=HEIGHT - BOTTOM).contains(&y), "{x} {y}");
            }
        }
    }

    /// Numbers as they come when training goes wrong, and those that arithmetic trips over.
    fn absurd() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<f64>(),
            -10.0..10.0,
            prop_oneof![
                Just(0.0),
                Just(-0.0),
                Just(1e9),
                Just(1e9 + 1e-6),
                Just(1e300),
                Just(-1e300),
                Just(f64::MAX),
                Just(f64::MIN),
                Just(f64::MIN_POSITIVE),
                Just(5e-324),
                Just(f64::INFINITY),
                Just(f64::NEG_INFINITY),
                Just(f64::NAN),
                Just(1.0),
                Just(1.0 + f64::EPSILON),
            ],
        ]
    }
}
