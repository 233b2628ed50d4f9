//! "Did you mean": the candidates nearest to a misspelt word.

/// At most `n` of the candidates, the most similar to `word` first; none that is not similar at all.
///
/// ```
/// let names = mp_nn::nearest::nearest("resnet2O_x3", ["vgg13", "resnet20_x3", "resnet20"], 2);
/// assert_eq!(names, ["resnet20_x3", "resnet20"]);
/// ```
pub fn nearest<S: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = S>, n: usize) -> Vec<String> {
    const SIMILAR: f64 = 0.6;
    let mut scored: Vec<(f64, String)> = candidates
        .into_iter()
        .map(|c| (strsim::jaro_winkler(word, c.as_ref()), c.as_ref().to_owned()))
        .filter(|(score, _)| *score >= SIMILAR)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored.into_iter().take(n).map(|(_, name)| name).collect()
}
