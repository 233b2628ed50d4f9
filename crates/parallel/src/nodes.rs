//! Slurm's short way of writing lists of hosts.

/// The first host of a list: `gpu[003-007,12],login1` gives `gpu003`.
pub(crate) fn first(list: &str) -> Option<String> {
    let list = list.trim();
    let end = list.find([',', '[']).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    let Some(inside) = rest.strip_prefix('[') else {
        return (!name.is_empty()).then(|| name.to_owned());
    };
    let (ranges, after) = inside.split_once(']')?;
    let number = ranges.split([',', '-']).next().filter(|number| !number.is_empty())?;
    // What follows the brackets belongs to the name, as in `rack[1-2]node[1-4]`.
    let tail = match after.chars().next() {
        None | Some(',') => String::new(),
        Some(_) => first(after)?,
    };
    Some(format!("{name}{number}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::first;

    #[test]
    fn lists_by_hand() {
        let found = |list| first(list).unwrap();
        assert_eq!(found("gpu003"), "gpu003");
        assert_eq!(found("gpu[003-007,12],login1"), "gpu003");
        assert_eq!(found("a,b"), "a");
        assert_eq!(found("rack[1-2]node[1-4]"), "rack1node1");
        assert_eq!(found("n[5]-ib.cluster,m1"), "n5-ib.cluster");
        assert_eq!(first(""), None);
        assert_eq!(first("gpu[003"), None);
    }
}
