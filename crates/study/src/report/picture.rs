//! Pictures as SVG: accuracy against each cost, and accuracy by epoch.

use std::fmt::Write;

use mp_train::watch::report::Axis;

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
    let mut dots: Vec<(usize, &EntrantFindings, f64, f64, f64)> = findings
        .entrants
        .iter()
        .enumerate()
        .filter_map(|(at, entrant)| {
            let test = entrant.test?;
            Some((at, entrant, cost(entrant)?, test.mean, test.half_width.unwrap_or(0.0)))
        })
        .collect();
    // From the top down, so that labels that make way stay near their dots.
    dots.sort_by(|a, b| b.3.total_cmp(&a.3));
    let xs = axis(dots.iter().map(|dot| dot.2))?;
    // Very wide intervals of two or three runs are cut off, so that they do not press the means together.
    let spread = dots.iter().map(|dot| dot.3).fold(f64::NEG_INFINITY, f64::max)
        - dots.iter().map(|dot| dot.3).fold(f64::INFINITY, f64::min);
    let shown = |half: f64| half.min(spread.max(0.005));
    let ys = axis(dots.iter().flat_map(|dot| [dot.3 - shown(dot.4), dot.3 + shown(dot.4)]))?;
    let mut svg = frame(&xs, &ys, unit, "accuracy of the test images");
    let mut labels: Vec<(f64, f64)> = Vec::new();
    for (at, entrant, x, mean, half) in dots {
        let colour = COLOURS[at % COLOURS.len()];
        let (x, y) = (x_at(&xs, x), y_at(&ys, mean));
        let (low, high) = (y_at(&ys, mean - shown(half)), y_at(&ys, mean + shown(half)));
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
    let xs = axis([1.0, longest as f64].into_iter())?;
    // The first epochs would take most of the height.
    let late =
        |entrant: &EntrantFindings| entrant.curve.iter().skip(entrant.curve.len() / 4).copied().collect::<Vec<_>>();
    let ys = axis(drawn.iter().flat_map(|(_, entrant)| late(entrant)))?;
    let mut svg = frame(&xs, &ys, "epoch", "accuracy of the validation images");
    for (order, (at, entrant)) in drawn.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let inside = entrant.curve.iter().enumerate().filter(|(_, accuracy)| **accuracy >= ys.low);
        let points: Vec<String> = inside
            .map(|(epoch, accuracy)| {
                let x = x_at(&xs, epoch as f64 + 1.0);
                format!("{x:.1},{:.1}", y_at(&ys, *accuracy))
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
    for value in ys.ticks() {
        let label = format!("{:.*}%", ys.digits().saturating_sub(2), 100.0 * value);
        let y = y_at(ys, value);
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke=\"#e0e0e0\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#555555\">{label}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for value in xs.ticks() {
        let label = xs.label(value, 0);
        let x = x_at(xs, value);
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

/// The axis around figures; none where there is none.
fn axis(figures: impl Iterator<Item = f64>) -> Option<Axis> {
    let figures: Vec<f64> = figures.filter(|figure| figure.is_finite()).collect();
    let (low, high) = (figures.iter().copied().reduce(f64::min)?, figures.iter().copied().reduce(f64::max)?);
    Some(Axis::new(low, high))
}

fn x_at(axis: &Axis, value: f64) -> f64 {
    LEFT + axis.share(value) * (WIDTH - RIGHT - LEFT)
}

fn y_at(axis: &Axis, value: f64) -> f64 {
    HEIGHT - BOTTOM - axis.share(value) * (HEIGHT - BOTTOM - TOP)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
