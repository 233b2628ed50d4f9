//! Pictures as SVG: accuracy against each cost, and accuracy by epoch.

use std::fmt::Write;

use crate::{EntrantFindings, Findings};

/// A picture and the file that it is kept in.
#[derive(Debug)]
pub(super) struct Picture {
    /// `accuracy-parameters.svg`.
    pub(super) file: String,
    /// What it shows.
    pub(super) title: String,
    /// Its text.
    pub(super) svg: String,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 20.0;
const BOTTOM: f64 = 48.0;

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), then again in a lighter form.
const COLOURS: [&str; 14] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000", "#7fb8d8", "#eaae7f", "#7fcebe",
    "#e5bcd3", "#aad9f4", "#f2cf7f", "#7f7f7f",
];

/// Every picture for which there are figures.
pub(super) fn all(findings: &Findings) -> Vec<Picture> {
    let cost = |file: &str, title: &str, unit: &str, cost: &dyn Fn(&EntrantFindings) -> Option<f64>| {
        scatter(findings, unit, cost).map(|svg| Picture { file: file.to_owned(), title: title.to_owned(), svg })
    };
    let pictures = [
        cost("accuracy-parameters.svg", "Test accuracy against parameters", "parameters, thousands", &|entrant| {
            entrant.parameters.map(|count| count as f64 / 1e3)
        }),
        cost(
            "accuracy-multiply-adds.svg",
            "Test accuracy against multiply-adds",
            "multiply-adds of an image, millions",
            &|entrant| entrant.multiply_adds.map(|count| count as f64 / 1e6),
        ),
        cost("accuracy-ms.svg", "Test accuracy against time", "milliseconds of a training step", &|entrant| entrant.ms),
        curves(findings).map(|svg| Picture {
            file: "accuracy-epochs.svg".to_owned(),
            title: "Validation accuracy by epoch, means over the seeds".to_owned(),
            svg,
        }),
    ];
    pictures.into_iter().flatten().collect()
}

/// A dot for each entrant, with the interval of its mean.
fn scatter(findings: &Findings, unit: &str, cost: &dyn Fn(&EntrantFindings) -> Option<f64>) -> Option<String> {
    let dots: Vec<(usize, &EntrantFindings, f64, f64, f64)> = findings
        .entrants
        .iter()
        .enumerate()
        .filter_map(|(at, entrant)| {
            let test = entrant.test?;
            Some((at, entrant, cost(entrant)?, test.mean, test.half_width.unwrap_or(0.0)))
        })
        .collect();
    let xs = Axis::new(dots.iter().map(|dot| dot.2), true)?;
    // Very wide intervals of two or three runs are cut off, so that they do not press the means together.
    let spread = dots.iter().map(|dot| dot.3).fold(f64::NEG_INFINITY, f64::max)
        - dots.iter().map(|dot| dot.3).fold(f64::INFINITY, f64::min);
    let shown = |half: f64| half.min(spread.max(0.005));
    let ys = Axis::new(dots.iter().flat_map(|dot| [dot.3 - shown(dot.4), dot.3 + shown(dot.4)]), false)?;
    let mut svg = frame(&xs, &ys, unit, "accuracy of the test images");
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for (at, entrant, x, mean, half) in dots {
        let colour = COLOURS[at % COLOURS.len()];
        let (x, y) = (xs.at(x, LEFT, WIDTH - RIGHT), ys.at(mean, HEIGHT - BOTTOM, TOP));
        let (low, high) =
            (ys.at(mean - shown(half), HEIGHT - BOTTOM, TOP), ys.at(mean + shown(half), HEIGHT - BOTTOM, TOP));
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{low:.1}\" x2=\"{x:.1}\" y2=\"{high:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{colour}\"/>"
        );
        let width = 6.6 * entrant.name.len() as f64;
        let right = x + 8.0 + width < WIDTH;
        let (mut label, start) = (y + 4.0, if right { x + 8.0 } else { x - 8.0 - width });
        // Labels that would lie on each other move down.
        while labels
            .iter()
            .any(|(other_x, other_y)| (other_x - start).abs() < width.max(60.0) && (other_y - label).abs() < 12.0)
        {
            label += 12.0;
        }
        labels.push((start, label));
        let _ =
            write!(svg, "<text x=\"{start:.1}\" y=\"{label:.1}\" fill=\"{colour}\">{}</text>", escaped(&entrant.name));
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// A line for each entrant.
fn curves(findings: &Findings) -> Option<String> {
    let drawn: Vec<(usize, &EntrantFindings)> =
        findings.entrants.iter().enumerate().filter(|(_, entrant)| entrant.curve.len() > 1).collect();
    let longest = drawn.iter().map(|(_, entrant)| entrant.curve.len()).max()?;
    let xs = Axis::new([1.0, longest as f64].into_iter(), false)?;
    // The first epochs would take most of the height.
    let late =
        |entrant: &EntrantFindings| entrant.curve.iter().skip(entrant.curve.len() / 4).copied().collect::<Vec<_>>();
    let ys = Axis::new(drawn.iter().flat_map(|(_, entrant)| late(entrant)), false)?;
    let mut svg = frame(&xs, &ys, "epoch", "accuracy of the validation images");
    for (order, (at, entrant)) in drawn.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let inside = entrant.curve.iter().enumerate().filter(|(_, accuracy)| **accuracy >= ys.low);
        let points: Vec<String> = inside
            .map(|(epoch, accuracy)| {
                let x = xs.at(epoch as f64 + 1.0, LEFT, WIDTH - RIGHT);
                format!("{x:.1},{:.1}", ys.at(*accuracy, HEIGHT - BOTTOM, TOP))
            })
            .collect();
        let y = HEIGHT - BOTTOM - 14.0 * (drawn.len() - order) as f64;
        let _ = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\
             <text x=\"{:.1}\" y=\"{y:.1}\" fill=\"{colour}\" text-anchor=\"end\">{}</text>",
            points.join(" "),
            WIDTH - RIGHT - 6.0,
            escaped(&entrant.name)
        );
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn frame(xs: &Axis, ys: &Axis, x_unit: &str, y_unit: &str) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\"><rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"
    );
    for (value, label) in ys.ticks(|value| format!("{:.*}%", ys.digits().saturating_sub(2), 100.0 * value)) {
        let y = ys.at(value, HEIGHT - BOTTOM, TOP);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e0e0e0\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for (value, label) in xs.ticks(|value| format!("{value:.*}", xs.digits())) {
        let x = xs.at(value, LEFT, WIDTH - RIGHT);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#999999\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555555\">{label}</text>",
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 4.0,
            HEIGHT - BOTTOM + 17.0
        );
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#333333\">{x_unit}</text>\
         <text x=\"14\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#333333\" transform=\"rotate(-90 14 {:.1})\">{y_unit}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        (TOP + HEIGHT - BOTTOM) / 2.0,
        (TOP + HEIGHT - BOTTOM) / 2.0
    );
    svg
}

/// From the lowest to the highest round number around the figures.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn new(figures: impl Iterator<Item = f64>, from_zero: bool) -> Option<Self> {
        let figures: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
        let low = figures.iter().copied().reduce(f64::min)?;
        let high = figures.iter().copied().reduce(f64::max)?;
        let low = if from_zero { low.min(0.0) } else { low };
        let width = if high > low { high - low } else { low.abs().max(1.0) / 10.0 };
        let size = 10_f64.powf((width / 6.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * size)
            .into_iter()
            .find(|step| width / step <= 7.0)
            .unwrap_or(width);
        let (first, last) = ((low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step);
        Some(Axis { low: first, high: if last > first { last } else { first + step }, step })
    }

    fn at(&self, value: f64, from: f64, to: f64) -> f64 {
        from + (value - self.low) / (self.high - self.low) * (to - from)
    }

    fn digits(&self) -> usize {
        (-(self.step * 1.000_001).log10().floor()).max(0.0) as usize
    }

    fn ticks(&self, label: impl Fn(f64) -> String) -> Vec<(f64, String)> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|at| self.low + at as f64 * self.step).map(|value| (value, label(value))).collect()
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let axis = Axis::new([0.861, 0.894].into_iter(), false).unwrap();
        assert_eq!((axis.low * 1000.0).round(), 860.0);
        assert_eq!((axis.high * 1000.0).round(), 895.0);
        assert_eq!(axis.at(axis.low, 10.0, 20.0), 10.0);
        let ticks = Axis::new([0.0, 830.0].into_iter(), true).unwrap().ticks(|value| format!("{value:.0}"));
        assert_eq!(
            ticks.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>(),
            ["0", "200", "400", "600", "800", "1000"]
        );
        assert!(Axis::new([3.0].into_iter(), false).is_some_and(|axis| axis.high > axis.low));
        assert!(Axis::new([f64::NAN].into_iter(), false).is_none());
    }
}
