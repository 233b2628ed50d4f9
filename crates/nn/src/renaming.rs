//! From the names of a weight file to those of a model, by rules that are data.

use std::borrow::Cow;

use regex::Regex;

use crate::Error;

/// Rules that turn the names of a file into those of a model, each applied to what those before it have made.
///
/// ```
/// use mp_nn::Renaming;
///
/// let pytorchcv = Renaming::new()
///     .exact("output.weight", "fc.weight")
///     .prefix("features.init_block", "stem")
///     .pattern(r"^features\.stage(\d+)\.unit(\d+)\.body\.conv(\d)\.conv\.", "layer$1.${2-1}.conv$3.")?;
/// assert_eq!(pytorchcv.rename("features.stage2.unit1.body.conv1.conv.weight"), "layer2.0.conv1.weight");
/// assert_eq!(pytorchcv.rename("features.init_block.bn.bias"), "stem.bn.bias");
/// assert_eq!(pytorchcv.rename("output.weight"), "fc.weight");
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Renaming {
    rules: Vec<Rule>,
    heads: Vec<String>,
    optional: Vec<String>,
    dropped: Vec<Regex>,
}

#[derive(Debug, Clone)]
struct Rule {
    from: Matcher,
    to: String,
    reshaped: bool,
}

#[derive(Debug, Clone)]
enum Matcher {
    Exact(String),
    Prefix(String),
    Pattern(Regex),
}

/// What the rules make of one name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    pub(crate) name: String,
    /// Whether a rule says that the numbers lie under another shape.
    pub(crate) reshaped: bool,
}

impl Renaming {
    /// No rules: every name stays.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name `from` becomes `to`.
    #[must_use]
    pub fn exact(self, from: &str, to: &str) -> Self {
        self.rule(Matcher::Exact(from.to_owned()), to)
    }

    /// The place `from` becomes `to` in every name at or below it: `layer1` is before `layer1.0.weight`, not before
    /// `layer10.weight`. An empty `to` takes the place away, an empty `from` puts all names below `to`.
    #[must_use]
    pub fn prefix(self, from: &str, to: &str) -> Self {
        self.rule(Matcher::Prefix(from.to_owned()), to)
    }

    /// The first part of a name that matches a regular expression becomes `to`, in which `$1` stands for what the first group
    /// has captured and `${1-1}` or `${1+4}` for the number that it has captured, less one or more by four. Only `^` and `$`
    /// bind an expression to the beginning and the end.
    ///
    /// # Errors
    /// [`Error::Config`] if it is not a regular expression, or if `to` names a group that does not exist.
    pub fn pattern(self, from: &str, to: &str) -> Result<Self, Error> {
        let regex = expression(from)?;
        for part in parts(to) {
            let known = match part {
                Part::Plain(_) => true,
                Part::Group { number, .. } => number < regex.captures_len(),
                Part::Broken => false,
            };
            if !known {
                let expected = format!("groups as $1 or ${{1-1}}, of the {} in `{from}`", regex.captures_len() - 1);
                return Err(Error::config("replacement of a name", expected, format!("`{to}`")));
            }
        }
        Ok(self.rule(Matcher::Pattern(regex), to))
    }

    /// Lets the tensors that the last rule renames have another shape than the model's, if they hold as many numbers: these
    /// are taken in row-major order. Without it every other shape is an error.
    ///
    /// # Panics
    /// Where there is no rule yet.
    #[must_use]
    pub fn reshaped(mut self) -> Self {
        self.rules.last_mut().expect("a rule before `reshaped`").reshaped = true;
        self
    }

    /// Names a head of the model: the place of its classifier, as `fc`. Where the file's tensors at or below it are of another
    /// shape, as those for other classes are, all of them are left out.
    #[must_use]
    pub fn head(mut self, place: &str) -> Self {
        self.heads.push(place.to_owned());
        self
    }

    /// Lets the file lack all that the model has at or below a place, as files of trained networks lack the classifiers that
    /// only helped to train them; it then stays as it is.
    #[must_use]
    pub fn optional(mut self, place: &str) -> Self {
        self.optional.push(place.to_owned());
        self
    }

    /// Leaves out every tensor of the file in whose own name, before any rule, a regular expression matches, as those of
    /// auxiliary classifiers that the model does not have.
    ///
    /// # Errors
    /// [`Error::Config`] for what is no regular expression.
    pub fn without(mut self, pattern: &str) -> Result<Self, Error> {
        self.dropped.push(expression(pattern)?);
        Ok(self)
    }

    /// What the rules make of a name.
    pub fn rename(&self, name: &str) -> String {
        self.apply(name).name
    }

    /// The rules that undo these, to write a model's tensors under the names of others: the last first, each from `to` to
    /// `from`. Heads stay, what is left out cannot come back.
    ///
    /// # Errors
    /// [`Error::Config`] for a rule by a regular expression, which cannot be undone.
    pub fn reversed(&self) -> Result<Self, Error> {
        let undo = |rule: &Rule| {
            let (from, to) = match &rule.from {
                Matcher::Exact(from) => (Matcher::Exact(rule.to.clone()), from.clone()),
                Matcher::Prefix(from) => (Matcher::Prefix(rule.to.clone()), from.clone()),
                Matcher::Pattern(regex) => {
                    let found = format!("the pattern `{regex}`");
                    return Err(Error::config("reversed renaming", "rules of whole names and places alone", found));
                }
            };
            Ok(Rule { from, to, reshaped: rule.reshaped })
        };
        let rules = self.rules.iter().rev().map(undo).collect::<Result<_, _>>()?;
        Ok(Self { rules, heads: self.heads.clone(), optional: self.optional.clone(), dropped: Vec::new() })
    }

    fn rule(mut self, from: Matcher, to: &str) -> Self {
        self.rules.push(Rule { from, to: to.to_owned(), reshaped: false });
        self
    }

    pub(crate) fn apply(&self, name: &str) -> Renamed {
        let mut renamed = Renamed { name: name.to_owned(), reshaped: false };
        for rule in &self.rules {
            if let Some(name) = rule.apply(&renamed.name) {
                renamed = Renamed { name, reshaped: renamed.reshaped || rule.reshaped };
            }
        }
        renamed
    }

    /// The head to which a name of the model belongs.
    pub(crate) fn head_of(&self, name: &str) -> Option<&str> {
        self.heads.iter().map(String::as_str).find(|head| below(name, head).is_some())
    }

    /// Whether the file may lack a name of the model.
    pub(crate) fn is_optional(&self, name: &str) -> bool {
        self.optional.iter().any(|place| below(name, place).is_some())
    }

    /// Whether a name of the file is left out.
    pub(crate) fn drops(&self, name: &str) -> bool {
        self.dropped.iter().any(|pattern| pattern.is_match(name))
    }
}

impl Rule {
    fn apply(&self, name: &str) -> Option<String> {
        match &self.from {
            Matcher::Exact(from) => (name == from).then(|| self.to.clone()),
            Matcher::Prefix(from) => match (below(name, from)?, self.to.is_empty()) {
                // The whole name cannot be taken away.
                ("", true) => None,
                ("", false) => Some(self.to.clone()),
                (rest, true) => Some(rest.to_owned()),
                (rest, false) => Some(format!("{}.{rest}", self.to)),
            },
            Matcher::Pattern(regex) => {
                let captures = regex.captures(name)?;
                let whole = captures.get(0)?;
                let group = |number| captures.get(number).map_or("", |group| group.as_str());
                let new: String = parts(&self.to).map(|part| part.expand(group)).collect();
                Some(format!("{}{new}{}", &name[..whole.start()], &name[whole.end()..]))
            }
        }
    }
}

/// What follows a place and its dot in a name; nothing for the place itself.
fn below<'n>(name: &'n str, place: &str) -> Option<&'n str> {
    if place.is_empty() {
        return Some(name);
    }
    match name.strip_prefix(place)? {
        "" => Some(""),
        rest => rest.strip_prefix('.'),
    }
}

fn expression(pattern: &str) -> Result<Regex, Error> {
    Regex::new(pattern).map_err(|error| {
        // The first lines draw where in the expression it is.
        let reason = error.to_string().lines().last().unwrap_or_default().to_owned();
        Error::config("pattern of names", "a regular expression", format!("`{pattern}` ({reason})"))
    })
}

/// A part of a replacement.
enum Part<'t> {
    Plain(&'t str),
    Group { number: usize, plus: i64 },
    Broken,
}

impl<'t> Part<'t> {
    fn expand(self, group: impl Fn(usize) -> &'t str) -> Cow<'t, str> {
        match self {
            Self::Plain(text) => text.into(),
            Self::Group { number, plus: 0 } => group(number).into(),
            Self::Group { number, plus } => match group(number).parse::<i64>() {
                Ok(value) => value.saturating_add(plus).to_string().into(),
                Err(_) => group(number).into(),
            },
            Self::Broken => "$".into(),
        }
    }
}

/// Splits `layer$1.${2-1}` into what stands as it is and what stands for a group.
fn parts(to: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = to;
    std::iter::from_fn(move || {
        let dollar = rest.find('$').unwrap_or(rest.len());
        if dollar > 0 {
            let (plain, after) = rest.split_at(dollar);
            rest = after;
            return Some(Part::Plain(plain));
        }
        let after = rest.strip_prefix('$')?;
        let (inner, after) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some(braced) => braced,
            None => after.split_at(after.bytes().take_while(u8::is_ascii_digit).count()),
        };
        rest = after;
        let sign = inner.find(['+', '-']).unwrap_or(inner.len());
        let (number, plus) = inner.split_at(sign);
        let plus = if plus.is_empty() { Ok(0) } else { plus.parse() };
        Some(match (number.parse(), plus) {
            (Ok(number), Ok(plus)) => Part::Group { number, plus },
            _ => Part::Broken,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_whole_parts_of_a_name() {
        let renaming = Renaming::new().prefix("layer1", "stage1");
        assert_eq!(renaming.rename("layer1.0.weight"), "stage1.0.weight");
        assert_eq!(renaming.rename("layer1"), "stage1");
        assert_eq!(renaming.rename("layer10.0.weight"), "layer10.0.weight");
        assert_eq!(Renaming::new().prefix("net", "").rename("net.fc.bias"), "fc.bias");
        assert_eq!(Renaming::new().prefix("", "net").rename("fc.bias"), "net.fc.bias");
    }

    #[test]
    fn rules_follow_each_other() {
        // torchvision's files of DenseNet from before version 0.3 write `norm.1` where newer ones write `norm1`.
        let renaming = Renaming::new()
            .pattern(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", "$1$2.")
            .unwrap()
            .prefix("features.denseblock1", "stage1");
        assert_eq!(
            renaming.rename("features.denseblock1.denselayer12.norm.2.weight"),
            "stage1.denselayer12.norm2.weight"
        );
    }

    #[test]
    fn groups_can_be_counted_from_another_number() {
        let renaming = |to: &str| Renaming::new().pattern(r"unit(\d+)", to).unwrap().rename("unit12.w");
        assert_eq!(renaming("${1-1}"), "11.w");
        assert_eq!(renaming("block_${1+4}"), "block_16.w");
        assert_eq!(renaming("u$1"), "u12.w");
    }

    #[test]
    fn what_cannot_be_a_rule_is_refused() {
        let message = |from: &str, to: &str| Renaming::new().pattern(from, to).unwrap_err().to_string();
        assert!(
            message("(", "").starts_with("pattern of names: expected a regular expression, found `(` (error: unclosed")
        );
        let groups = "replacement of a name: expected groups as $1 or ${1-1}, of the 1 in `a(.)`, found";
        for to in ["$2", "$", "${x}", "${1-x}", "$1$"] {
            assert_eq!(message("a(.)", to), format!("{groups} `{to}`"));
        }
    }

    #[test]
    fn whole_names_and_places_can_be_undone() {
        let renaming =
            Renaming::new().exact("linear.weight", "fc.weight").prefix("features", "body").prefix("body.0", "stem");
        let back = renaming.reversed().unwrap();
        for name in ["linear.weight", "features.0.weight", "features.1.bias"] {
            assert_eq!(back.rename(&renaming.rename(name)), name);
        }
        let pattern = Renaming::new().pattern("a", "b").unwrap();
        assert!(pattern.reversed().unwrap_err().to_string().ends_with("found the pattern `a`"));
    }
}
