//! "Did you mean": the candidates nearest to a misspelt word.

/// At most `n` of the candidates that are within about a third of the word's length in edits (a swap of neighbours is
/// one), the nearest first and otherwise in their own order.
///
/// ```
/// let names = mp_nn::nearest::nearest("resnet2O_x3", ["vgg13", "resnet20", "resnet20_x3"], 2);
/// assert_eq!(names, ["resnet20_x3", "resnet20"]);
/// ```
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>, n: usize) -> Vec<String> {
    let length = word.chars().count();
    let most = length / 3 + 1;
    let mut near: Vec<(usize, String)> = candidates
        .into_iter()
        // Words whose lengths differ by more are further apart, which need not be found out.
        .filter(|c| c.as_ref().chars().count().abs_diff(length) <= most)
        .map(|c| (strsim::osa_distance(word, c.as_ref()), c.as_ref().to_owned()))
        .filter(|(edits, _)| *edits <= most)
        .collect();
    near.sort_by_key(|(edits, _)| *edits);
    near.into_iter().take(n).map(|(_, name)| name).collect()
}
