//! The book's table of families is made from the table of families.

use std::fmt::Write;
use std::path::Path;

use mp_zoo::{Make, ModelName, ModelOptions, cost_of, families};

const BEGIN: &str = "<!-- families: written by a test -->\n";
const END: &str = "<!-- end of families -->";

/// One row a family, with its cost for the images that it was made for.
fn table() -> String {
    let mut table = String::from("| name | images | size | forms | parameters | multiply-adds | what it is |\n");
    table.push_str("|---|---|---|---|--:|--:|---|\n");
    for family in families() {
        let native = family.native;
        let cost = cost_of(family.name, &ModelOptions::new(native)).unwrap();
        let knob = ModelName { family, size: Some(family.knob.default), variant: mp_zoo::Variant::Single };
        let forms = match family.make {
            Make::Chain(_) => "paths, ensembles",
            Make::Whole(_) => "ensembles",
        };
        let (name, channels, side, summary) = (family.name, native.channels, native.size, family.summary);
        let (parameters, millions) =
            (thousands(cost.parameters), thousands((cost.multiply_adds + 500_000) / 1_000_000));
        writeln!(
            table,
            "| `{name}` | {channels}x{side}x{side} | `{knob}` | {forms} | {parameters} | {millions} M | {summary} |"
        )
        .unwrap();
    }
    table
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// `WRITE_BOOK=1 cargo nextest run -p mp-zoo --test book` writes it anew.
#[test]
fn the_book_lists_every_family() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/models.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/src/models.md has the mark where the table begins");
    let (found, after) = rest.split_once(END).expect("docs/src/models.md has the mark where the table ends");
    let expected = table();
    if std::env::var_os("WRITE_BOOK").is_some() {
        std::fs::write(&page, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        return;
    }
    assert!(found == expected, "docs/src/models.md should have this table (WRITE_BOOK=1 writes it):\n{expected}");
}
