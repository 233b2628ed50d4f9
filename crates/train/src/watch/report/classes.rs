//! Which class was taken for which, as a table of coloured cells.

use std::collections::HashMap;

use mp_data::Line;
use serde::Serialize;

use super::cells::{Row, cell};
use crate::evaluate::{ClassResult, Confused};
use crate::folder::Summary;

/// Of more classes than this, the matrix is no longer looked at as a whole: the worst classes and pairs are listed.
const MOST_IN_MATRIX: usize = 30;
/// Lines of these lists.
const LISTED: usize = 30;

/// How the classes were told apart, as the template draws it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Classes {
    names: Vec<String>,
    /// A class a row, a prediction a column; empty where there are too many classes.
    matrix: Vec<Row>,
    /// The least accurate classes: accuracy and images. Empty where there is a matrix.
    worst: Vec<Row>,
    /// The most confused pairs: images, and their share of the class. Empty where there is a matrix.
    pairs: Vec<Row>,
    /// Classes and pairs that are not listed.
    hidden: usize,
}

/// What a summary says of its classes; `None` for one of an older version.
pub(super) fn classes(summary: &Summary) -> Option<Classes> {
    let found = &summary.classes;
    if found.is_empty() {
        return None;
    }
    let mut names: Vec<String> = found.iter().map(|class| Line(&class.class).to_string()).collect();
    if found.len() <= MOST_IN_MATRIX {
        let matrix = matrix(found, &summary.confused);
        names.push("accuracy".to_owned());
        return Some(Classes { names, matrix, worst: Vec::new(), pairs: Vec::new(), hidden: 0 });
    }
    let mut seen: Vec<(f64, &ClassResult)> = found.iter().filter_map(|class| Some((class.accuracy?, class))).collect();
    seen.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let worst = seen.iter().take(LISTED).map(|(accuracy, class)| Row {
        name: Line(&class.class).to_string(),
        cells: vec![cell(percent(*accuracy), *accuracy), cell(class.images.to_string(), 0.0)],
    });
    let images: HashMap<&str, u64> = found.iter().map(|class| (class.class.as_str(), class.images)).collect();
    let pairs = summary.confused.iter().take(LISTED).map(|pair| {
        let share = pair.images as f64 / images.get(pair.class.as_str()).copied().unwrap_or(1) as f64;
        let name = format!("{} taken for {}", Line(&pair.class), Line(&pair.predicted));
        Row { name, cells: vec![cell(pair.images.to_string(), 0.0), cell(percent(share), -share)] }
    });
    let (worst, pairs): (Vec<Row>, Vec<Row>) = (worst.collect(), pairs.collect());
    let hidden = found.len() - worst.len();
    Some(Classes { names: Vec::new(), matrix: Vec::new(), worst, pairs, hidden })
}

/// Counts, coloured by their share of the row: blue where they are right, orange where they are wrong.
fn matrix(classes: &[ClassResult], confused: &[Confused]) -> Vec<Row> {
    let wrong: HashMap<(&str, &str), u64> =
        confused.iter().map(|pair| ((pair.class.as_str(), pair.predicted.as_str()), pair.images)).collect();
    let row = |(number, class): (usize, &ClassResult)| {
        let count = |(column, predicted): (usize, &ClassResult)| {
            let count = match column == number {
                true => class.correct,
                false => wrong.get(&(class.class.as_str(), predicted.class.as_str())).copied().unwrap_or(0),
            };
            let share = count as f64 / class.images.max(1) as f64;
            let text = if count == 0 { String::new() } else { count.to_string() };
            cell(text, if column == number { share } else { -share })
        };
        let cells = classes.iter().enumerate().map(count);
        let accuracy = class.accuracy.map_or_else(|| "no images".to_owned(), percent);
        Row { name: Line(&class.class).to_string(), cells: cells.chain([cell(accuracy, 0.0)]).collect() }
    };
    classes.iter().enumerate().map(row).collect()
}

fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::Confusion;
    use crate::folder::summary_tests::summary;

    fn of(count: usize, pairs: &[(i64, i64)]) -> Classes {
        let names: Vec<String> = (0..count).map(|class| format!("c{class}")).collect();
        let confusion = Confusion::of(count, pairs.iter().copied());
        let (by_class, confused) = (confusion.by_class(&names), confusion.confused(&names));
        classes(&Summary { classes: by_class, confused, ..summary() }).unwrap()
    }

    #[test]
    fn few_classes_make_a_matrix() {
        // Of four images of class 0 three are right; class 2 has none.
        let found = of(3, &[(0, 0), (0, 0), (0, 1), (0, 0), (1, 1)]);
        let text = |value: &str| value.to_owned();
        let rows = [
            [cell(text("3"), 0.75), cell(text("1"), -0.25), cell(String::new(), -0.0), cell(text("75.0%"), 0.0)],
            [cell(String::new(), -0.0), cell(text("1"), 1.0), cell(String::new(), -0.0), cell(text("100.0%"), 0.0)],
            [
                cell(String::new(), -0.0),
                cell(String::new(), -0.0),
                cell(String::new(), 0.0),
                cell(text("no images"), 0.0),
            ],
        ];
        assert_eq!(found.matrix.iter().map(|row| row.cells.as_slice()).collect::<Vec<_>>(), rows);
        assert_eq!(found.names, ["c0", "c1", "c2", "accuracy"]);
    }

    #[test]
    fn of_many_classes_the_worst_are_listed() {
        let mut pairs: Vec<(i64, i64)> = (0..40).map(|class| (class, class)).collect();
        pairs.extend([(7, 8), (7, 8), (7, 9), (3, 4)]);
        let found = of(40, &pairs);
        assert!(found.matrix.is_empty());
        let first = |rows: &[Row]| rows[0].name.clone();
        assert_eq!((first(&found.worst), first(&found.pairs)), ("c7".to_owned(), "c7 taken for c8".to_owned()));
        assert_eq!((found.worst.len(), found.pairs.len(), found.hidden), (30, 3, 10));
        assert_eq!(found.pairs[0].cells, [cell("2".to_owned(), 0.0), cell("50.0%".to_owned(), -0.5)]);
    }

    #[test]
    fn names_cannot_turn_the_page_around() {
        let mut summary = summary();
        let class = ClassResult { class: "a\u{202e}b\n".to_owned(), images: 1, correct: 1, accuracy: Some(1.0) };
        summary.classes = vec![class];
        let found = classes(&summary).unwrap();
        assert!(!found.names[0].contains('\n'), "{found:?}");
        assert_eq!(found.matrix[0].cells[0], cell("1".to_owned(), 1.0));
    }
}
