//! The few Python pickles that hold CIFAR: dictionaries with lists of numbers and NumPy's arrays of bytes.

use std::path::Path;

use mp_pickle::{Item, Name, Object, Pickle};

use super::malformed;
use crate::Error;

/// A matrix of bytes, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Array<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bytes: &'a [u8],
}

/// A pickled dictionary.
#[derive(Debug)]
pub(crate) struct Pickled<'a> {
    path: &'a Path,
    pickle: Pickle<'a>,
}

impl<'a> Pickled<'a> {
    /// Builds the values of a pickle.
    pub(crate) fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        match Pickle::parse(bytes, is_of_arrays) {
            Ok(pickle) => Ok(Self { path, pickle }),
            Err(mp_pickle::Error::Malformed { at, expected, found }) => {
                Err(malformed(path, at as u64, expected, found))
            }
            Err(mp_pickle::Error::Refused { at, name }) => {
                let found = format!("`{name}`, which would be executed by Python: refused");
                Err(malformed(path, at as u64, "an array of NumPy", found))
            }
            Err(other) => Err(malformed(path, 0, "a pickle", other)),
        }
    }

    /// The value of a key in the dictionary.
    fn get(&self, key: &str) -> Result<Item<'_, 'a>, Error> {
        let root = self.pickle.root();
        if root.pairs().is_none() {
            return Err(malformed(self.path, 0, "a pickled dictionary", "a pickle of something else"));
        }
        root.get(key).ok_or_else(|| malformed(self.path, 0, format!("a dictionary with `{key}`"), "none"))
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<i64>, Error> {
        let numbers = self.get(key)?.list().and_then(|items| items.map(Item::int).collect());
        numbers.ok_or_else(|| malformed(self.path, 0, format!("whole numbers as `{key}`"), "something else"))
    }

    /// An array of bytes.
    pub(crate) fn array(&self, key: &str) -> Result<Array<'a>, Error> {
        let fault = |found: String| malformed(self.path, 0, format!("an array of bytes as `{key}`"), found);
        let object = self.get(key)?.object().ok_or_else(|| fault("something else".to_owned()))?;
        array(object).map_err(fault)
    }
}

fn is_of_arrays(name: Name<'_>) -> bool {
    is_reconstruct(name) || name.is("numpy", "ndarray") || name.is("numpy", "dtype")
}

fn is_reconstruct(name: Name<'_>) -> bool {
    name.is("numpy.core.multiarray", "_reconstruct") || name.is("numpy._core.multiarray", "_reconstruct")
}

/// What NumPy would make of its array's content: version, shape, type of elements, whether columns come first, bytes.
fn array<'a>(object: Object<'_, 'a>) -> Result<Array<'a>, String> {
    let other = || "something else".to_owned();
    let is_array = object.arguments().next().and_then(Item::name).is_some_and(|name| name.is("numpy", "ndarray"));
    if !is_reconstruct(object.name()) || !is_array {
        return Err(other());
    }
    let mut state = object.state().and_then(Item::tuple).ok_or_else(|| "an array without content".to_owned())?;
    let [_, shape, elements, by_columns, bytes] = std::array::from_fn(|_| state.next());

    let elements = elements.and_then(Item::object).filter(|elements| elements.name().is("numpy", "dtype"));
    let elements = elements.and_then(|elements| elements.arguments().next()?.bytes()).ok_or_else(other)?;
    // The byte order that a type may have is of no meaning for single bytes.
    if !matches!(elements, b"u1" | b"|u1") {
        return Err(format!("elements of the type {}", elements.escape_ascii()));
    }
    let shape: Vec<_> = shape.and_then(Item::tuple).ok_or_else(other)?.map(|size| size.int()).collect();
    let [rows, columns] = shape[..] else { return Err(format!("{} dimensions", shape.len())) };
    let size = |size: Option<i64>| usize::try_from(size?).ok();
    let (Some(rows), Some(columns)) = (size(rows), size(columns)) else { return Err("wrong sizes".to_owned()) };
    let bytes = bytes.and_then(Item::bytes).ok_or_else(other)?;
    match by_columns.and_then(|by_columns| by_columns.bool()) {
        Some(false) if rows.checked_mul(columns) == Some(bytes.len()) => Ok(Array { rows, columns, bytes }),
        Some(false) => Err(format!("{} bytes for {rows}x{columns}", bytes.len())),
        _ => Err("one with its columns first".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Python 2 wrote `{'labels': [6, 300], 'data': array([[1, 2, 3], [4, 5, 6]], dtype=uint8)}`.
    const SMALL: &[u8] = b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06M\x2c\x01eU\x04dataq\x04cnumpy.core.multiarray\n\
        _reconstruct\nq\x05cnumpy\nndarray\nq\x06K\x00\x85q\x07U\x01bq\x08\x87q\x09Rq\x0a(K\x01K\x02K\x03\x86q\x0bcnumpy\ndtype\n\
        q\x0cU\x02u1q\x0dK\x00K\x01\x87q\x0eRq\x0f(K\x03U\x01|q\x10NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x11b\x89U\x06\
        \x01\x02\x03\x04\x05\x06q\x12tq\x13bu.";

    #[test]
    fn a_dictionary_of_a_list_and_an_array_is_read() {
        let pickle = Pickled::parse(Path::new("batch"), SMALL).unwrap();
        assert_eq!(pickle.numbers("labels").unwrap(), [6, 300]);
        let array = Array { rows: 2, columns: 3, bytes: &[1, 2, 3, 4, 5, 6] };
        assert_eq!(pickle.array("data").unwrap(), array);
        let error = pickle.numbers("fine_labels").unwrap_err();
        assert_eq!(error.to_string(), "batch: byte 0: expected a dictionary with `fine_labels`, found none");
        assert_eq!(
            pickle.array("labels").unwrap_err().to_string(),
            "batch: byte 0: expected an array of bytes as `labels`, found something else"
        );
    }

    #[test]
    fn an_array_of_something_else_is_refused() {
        let refusal = |from: &[u8], to: &[u8]| {
            let at = SMALL.windows(from.len()).position(|window| window == from).unwrap();
            let bytes = [&SMALL[..at], to, &SMALL[at + from.len()..]].concat();
            let pickle = Pickled::parse(Path::new("batch"), &bytes).unwrap();
            pickle.array("data").unwrap_err().to_string()
        };
        for (from, to, found) in [
            (&b"u1"[..], &b"f4"[..], "elements of the type f4"),
            (b"K\x02K\x03\x86", b"K\x02K\x04\x86", "6 bytes for 2x4"),
            (b"K\x02K\x03\x86", b"K\x06\x85", "1 dimensions"),
            (b"K\x02K\x03\x86", b"NK\x03\x86", "wrong sizes"),
            (b"\x89U\x06", b"\x88U\x06", "one with its columns first"),
        ] {
            assert_eq!(
                refusal(from, to),
                format!("batch: byte 0: expected an array of bytes as `data`, found {found}")
            );
        }
    }

    #[test]
    fn what_would_be_executed_is_refused() {
        let error = Pickled::parse(Path::new("batch"), b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.").unwrap_err();
        let message = "batch: byte 16: expected an array of NumPy, found `posix.system`, which would be executed by Python: \
                       refused";
        assert_eq!(error.to_string(), message);
    }

    proptest! {
        #[test]
        fn any_damage_is_values_or_an_error(damage in proptest::collection::vec((0..SMALL.len(), any::<u8>()), 0..8)) {
            let mut bytes = SMALL.to_vec();
            damage.into_iter().for_each(|(at, value)| bytes[at] = value);
            if let Ok(pickle) = Pickled::parse(Path::new("batch"), &bytes) {
                let _ = (pickle.numbers("labels"), pickle.array("data"));
            }
        }
    }
}
