//! What a study shows, as pages and tables: `results.md`, `results.csv`, `results.json`, `report.html`, and the pictures.

mod html;
mod markdown;
mod picture;
mod table;

use std::path::{Path, PathBuf};

use mp_train::atomic::{self, Existing};

use crate::{Error, Findings};

/// Writes all forms of the report into a folder, in place of former ones, and returns the page's path. `command` is what made
/// them.
///
/// # Errors
/// The disk's.
pub fn write(findings: &Findings, folder: &Path, command: &str) -> Result<PathBuf, Error> {
    let pictures = picture::all(findings);
    let json = serde_json::to_string_pretty(findings)
        .map_err(|error| Error::record(&folder.join("results.json"), error.to_string()))?;
    let mut files = vec![
        ("results.md".to_owned(), markdown::page(findings, command)),
        ("results.csv".to_owned(), table::csv(findings)?),
        ("results.json".to_owned(), format!("{json}\n")),
        ("report.html".to_owned(), html::page(findings, &pictures, command)?),
    ];
    files.extend(pictures.iter().map(|picture| (picture.file.clone(), picture.svg.clone())));
    for (name, text) in files {
        atomic::write(&folder.join(name), text.as_bytes(), Existing::Replace)?;
    }
    Ok(folder.join("report.html"))
}

/// The text of a page with what stands between a study's two marks replaced by the study's results:
/// `<!-- study NAME -->` and `<!-- end of study NAME -->`.
///
/// # Errors
/// [`Error::Study`] where the page lacks one of the marks.
pub fn inserted(findings: &Findings, page: &Path, text: &str, command: &str) -> Result<String, Error> {
    let (begin, end) =
        (format!("<!-- study {} -->", findings.study), format!("<!-- end of study {} -->", findings.study));
    let missing = |mark: &str| {
        Error::study(page, format!("the line `{mark}` is missing, expected where the results are to stand"))
    };
    let start = text.find(&begin).ok_or_else(|| missing(&begin))? + begin.len();
    let stop = text[start..].find(&end).ok_or_else(|| missing(&end))? + start;
    Ok(format!("{}\n\n{}\n{}", &text[..start], markdown::table_and_notes(findings, command), &text[stop..]))
}

/// A share in percent, with two decimals.
fn percent(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}
