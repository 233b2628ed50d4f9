//! Counts as people read them.

/// A count with a comma before every third digit: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// A large count with one decimal place and a unit: `40.8 M`.
pub fn short(number: u64) -> String {
    let units = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    match units.into_iter().find(|(unit, _)| number as f64 >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", number as f64 / unit),
        None => number.to_string(),
    }
}
