//! The three parts that a data set may consist of, and what a name says about them.

use std::fmt;

/// What the images of a part serve for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Split {
    Train,
    Valid,
    Test,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        })
    }
}

/// Something of the training images and, where there are any, of the validation and the test images.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parts<T> {
    pub(crate) train: T,
    pub(crate) valid: Option<T>,
    pub(crate) test: Option<T>,
}

impl<T> Parts<T> {
    /// Training images alone.
    pub(crate) fn train(train: T) -> Self {
        Self { train, valid: None, test: None }
    }

    /// Training and test images.
    pub(crate) fn tested(train: T, test: T) -> Self {
        Self { train, valid: None, test: Some(test) }
    }

    /// All parts, the first of which is the training images; `None` without these.
    pub(crate) fn of([train, valid, test]: [Option<T>; 3]) -> Option<Self> {
        Some(Self { train: train?, valid, test })
    }

    /// Those that are there, with what they are.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Split, &T)> {
        let held = [(Split::Valid, &self.valid), (Split::Test, &self.test)];
        let held = held.into_iter().filter_map(|(split, part)| Some((split, part.as_ref()?)));
        std::iter::once((Split::Train, &self.train)).chain(held)
    }

    /// Those that are there, to change them.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        std::iter::once(&mut self.train).chain(&mut self.valid).chain(&mut self.test)
    }

    /// Of each part another thing.
    pub(crate) fn map<U>(self, mut change: impl FnMut(Split, T) -> U) -> Parts<U> {
        Parts {
            train: change(Split::Train, self.train),
            valid: self.valid.map(|part| change(Split::Valid, part)),
            test: self.test.map(|part| change(Split::Test, part)),
        }
    }

    /// The same where that may fail, in the order of training, validation, test.
    pub(crate) fn try_map<U, E>(self, mut change: impl FnMut(Split, T) -> Result<U, E>) -> Result<Parts<U>, E> {
        Ok(Parts {
            train: change(Split::Train, self.train)?,
            valid: self.valid.map(|part| change(Split::Valid, part)).transpose()?,
            test: self.test.map(|part| change(Split::Test, part)).transpose()?,
        })
    }
}

/// A name that means one split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    pub(crate) split: Split,
    /// What else it says, in lower case: `seg` of `seg_train`; empty if nothing.
    pub(crate) rest: String,
}

impl Spoken {
    /// Whether the name says nothing but the split: `train`, `Test_Set`, `val2017`.
    pub(crate) fn is_plain(&self) -> bool {
        self.rest.is_empty()
    }
}

const TRAIN: [&str; 5] = ["train", "training", "trn", "trainval", "trainvalid"];
const VALID: [&str; 5] = ["val", "valid", "validation", "validate", "dev"];
const TEST: [&str; 3] = ["test", "testing", "tst"];

/// Words that say nothing: people put them before and behind the name of a split.
const NEUTRAL: [&str; 42] = [
    "set",
    "sets",
    "data",
    "dataset",
    "datasets",
    "image",
    "images",
    "img",
    "imgs",
    "picture",
    "pictures",
    "pic",
    "pics",
    "photo",
    "photos",
    "file",
    "files",
    "folder",
    "folders",
    "dir",
    "split",
    "splits",
    "class",
    "classes",
    "cls",
    "classification",
    "jpg",
    "jpeg",
    "jpegs",
    "png",
    "pngs",
    "x",
    "px",
    "my",
    "new",
    "final",
    "full",
    "raw",
    "original",
    "resized",
    "labelled",
    "labeled",
];

/// Which split a name means, in upper or lower case and with the usual words around it; `None` if it means none, or two.
pub(crate) fn spoken(name: &str) -> Option<Spoken> {
    let mut split = None;
    let mut rest = Vec::new();
    for word in words(name) {
        match split_of(&word) {
            Some(found) if split.is_none_or(|split| split == found) => split = Some(found),
            Some(_) => return None,
            None if is_neutral(&word) => {}
            None => rest.push(word),
        }
    }
    Some(Spoken { split: split?, rest: rest.join(" ") })
}

/// Whether a name says nothing at all: `images`, `data2`, `My Dataset`.
pub(crate) fn is_neutral_name(name: &str) -> bool {
    words(name).iter().all(|word| is_neutral(word))
}

fn is_neutral(word: &str) -> bool {
    NEUTRAL.contains(&word) || word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The split that one word in lower case means, alone or run together with a neutral one: `trainset`, `imgtest`.
fn split_of(word: &str) -> Option<Split> {
    let of = |words: &[&str], split| words.iter().map(move |word| ((*word).to_owned(), split)).collect::<Vec<_>>();
    let known = [of(&TRAIN, Split::Train), of(&VALID, Split::Valid), of(&TEST, Split::Test)].concat();
    let exact = known.iter().find(|(name, _)| name == word);
    let joined = || {
        known.iter().find(|(name, _)| {
            let beside = word.strip_prefix(name.as_str()).or_else(|| word.strip_suffix(name.as_str()));
            beside.is_some_and(|beside| beside.len() > 2 && NEUTRAL.contains(&beside))
        })
    };
    exact.or_else(joined).map(|(_, split)| *split)
}

/// The words of a name in lower case: it is cut at what is neither letter nor digit, between a letter and a digit, and where a
/// capital follows a small letter.
fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut before: Option<char> = None;
    for character in name.chars() {
        if !character.is_alphanumeric() {
            before = None;
            continue;
        }
        let goes_on = before.is_some_and(|before| {
            let rises = before.is_lowercase() && character.is_uppercase();
            before.is_numeric() == character.is_numeric() && !rises
        });
        if !goes_on {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
        before = Some(character);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_are_understood_in_any_case_with_the_usual_words() {
        let plain = |name: &str| spoken(name).filter(Spoken::is_plain).map(|spoken| spoken.split);
        for name in [
            "train",
            "Train",
            "TRAIN",
            "training",
            "training_set",
            "train-images",
            "trainset",
            "TrainingSet",
            "train2017",
            "train_images",
            "Train Data",
            "dataset_train",
            "img_train",
            "train_224x224",
            "trainval",
        ] {
            assert_eq!(plain(name), Some(Split::Train), "{name}");
        }
        for name in ["val", "VALID", "Validation", "val_images", "valset", "validation-set", "val2017", "dev"] {
            assert_eq!(plain(name), Some(Split::Valid), "{name}");
        }
        for name in ["test", "Testing", "TEST_SET", "testset", "test-images", "images_test", "testSet"] {
            assert_eq!(plain(name), Some(Split::Test), "{name}");
        }
    }

    #[test]
    fn other_words_are_kept_and_other_names_say_nothing() {
        let rest = |name: &str| spoken(name).map(|spoken| (spoken.split, spoken.rest));
        assert_eq!(rest("seg_train"), Some((Split::Train, "seg".to_owned())));
        assert_eq!(rest("cats-test"), Some((Split::Test, "cats".to_owned())));
        assert_eq!(rest("trainingSample"), Some((Split::Train, "sample".to_owned())));
        assert_eq!(rest("2021_train_mini"), Some((Split::Train, "mini".to_owned())));
        for name in
            ["trains", "contest", "cat", "invalid", "value", "device", "restrain", "train_test_split", "", "___"]
        {
            assert_eq!(rest(name), None, "{name}");
        }
    }

    #[test]
    fn names_that_say_nothing() {
        assert!(["images", "My Dataset", "data2", "IMG"].into_iter().all(is_neutral_name));
        assert!(["cats", "PetImages_1b"].into_iter().all(|name| !is_neutral_name(name)));
    }
}
