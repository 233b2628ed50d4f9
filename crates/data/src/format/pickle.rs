//! The few Python pickles that hold CIFAR: dictionaries, lists, numbers, texts and arrays of bytes. Nothing is executed.
//!
//! A pickle is a program for a stack machine (Python's `pickletools` documents each opcode), and one of its opcodes calls any
//! function there is. Here that opcode knows two names, NumPy's array and its type of elements, and gives plain values for them;
//! every other name and opcode is refused.

use std::collections::HashMap;
use std::path::Path;

use super::malformed;
use crate::Error;

/// The most values that are built and the most that lie on the stack: CIFAR-100 has 150,000.
const MOST: usize = 1 << 20;

/// A value; other values are named by their position in [`Pickle::values`].
#[derive(Debug, PartialEq)]
enum Value<'a> {
    None,
    Int(i64),
    /// Text or bytes: Python 2 made no difference.
    Text(&'a [u8]),
    Tuple(Vec<usize>),
    List(Vec<usize>),
    /// Keys and values in turn.
    Dict(Vec<usize>),
    /// `numpy.core.multiarray._reconstruct`, `numpy.ndarray` or `numpy.dtype`.
    Name(Name),
    /// A type of array elements, such as `u1`.
    DType(&'a [u8]),
    /// An array, once its content is known.
    Array(Option<Array<'a>>),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Name {
    Reconstruct,
    Array,
    DType,
}

/// A matrix of bytes, row by row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Array<'a> {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) bytes: &'a [u8],
}

/// What a pickle holds.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    path: &'a Path,
    values: Vec<Value<'a>>,
    root: usize,
}

impl<'a> Pickle<'a> {
    /// Builds the values of a pickle.
    pub(crate) fn parse(path: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let mut machine =
            Machine { bytes, at: 0, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        match machine.run() {
            Ok(root) => Ok(Self { path, values: machine.values, root }),
            Err(Stop { at, expected, found }) => Err(malformed(path, at as u64, expected, found)),
        }
    }

    /// The value of a key in the dictionary that the pickle is.
    fn get(&self, key: &str) -> Result<&Value<'a>, Error> {
        let Value::Dict(pairs) = &self.values[self.root] else {
            return Err(malformed(self.path, 0, "a pickled dictionary", "a pickle of something else"));
        };
        let is_key = |pair: &&[usize]| self.values[pair[0]] == Value::Text(key.as_bytes());
        let pair = pairs.chunks_exact(2).rfind(is_key);
        pair.map(|pair| &self.values[pair[1]])
            .ok_or_else(|| malformed(self.path, 0, format!("a dictionary with `{key}`"), "none"))
    }

    /// A list of numbers.
    pub(crate) fn numbers(&self, key: &str) -> Result<Vec<i64>, Error> {
        let wrong = || malformed(self.path, 0, format!("whole numbers as `{key}`"), "something else");
        let Value::List(items) = self.get(key)? else { return Err(wrong()) };
        let number = |&item: &usize| match self.values[item] {
            Value::Int(number) => Ok(number),
            _ => Err(wrong()),
        };
        items.iter().map(number).collect()
    }

    /// An array of bytes.
    pub(crate) fn array(&self, key: &str) -> Result<Array<'a>, Error> {
        match self.get(key)? {
            Value::Array(Some(array)) => Ok(*array),
            _ => Err(malformed(self.path, 0, format!("an array of bytes as `{key}`"), "something else")),
        }
    }
}

/// Why a pickle is not read on.
struct Stop {
    at: usize,
    expected: String,
    found: String,
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: HashMap<u32, usize>,
}

type Step<T = ()> = Result<T, Stop>;

impl<'a> Machine<'a> {
    fn stop<T>(&self, expected: impl Into<String>, found: impl Into<String>) -> Step<T> {
        Err(Stop { at: self.at, expected: expected.into(), found: found.into() })
    }

    /// Runs to the end and gives the value that is left.
    fn run(&mut self) -> Step<usize> {
        loop {
            if self.stack.len() > MOST || self.values.len() > MOST {
                return self.stop(format!("at most {MOST} values"), "more");
            }
            let start = self.at;
            let [opcode] = self.fixed()?;
            match opcode {
                // PROTO, FRAME: what they say changes nothing here.
                0x80 => drop(self.fixed::<1>()?),
                0x95 => drop(self.fixed::<8>()?),
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'}' => self.push(Value::Dict(Vec::new())),
                b']' => self.push(Value::List(Vec::new())),
                b')' => self.push(Value::Tuple(Vec::new())),
                b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::Tuple(items));
                }
                0x85..=0x87 => {
                    let count = usize::from(opcode - 0x84);
                    let items = self.last(count)?;
                    self.push(Value::Tuple(items));
                }
                b'N' => self.push(Value::None),
                0x88 | 0x89 => self.push(Value::Int(i64::from(opcode == 0x88))),
                b'J' => {
                    let number = i32::from_le_bytes(self.fixed()?);
                    self.push(Value::Int(number.into()));
                }
                b'K' => {
                    let [number] = self.fixed()?;
                    self.push(Value::Int(number.into()));
                }
                b'M' => {
                    let number = u16::from_le_bytes(self.fixed()?);
                    self.push(Value::Int(number.into()));
                }
                // Texts and bytes, with their length in one, four or eight bytes.
                b'U' | 0x8c | b'C' => {
                    let [length] = self.fixed()?;
                    self.text(length.into())?;
                }
                b'T' | b'X' | b'B' => {
                    let length = u32::from_le_bytes(self.fixed()?);
                    self.text(length.into())?;
                }
                0x8d | 0x8e => {
                    let length = u64::from_le_bytes(self.fixed()?);
                    self.text(length)?;
                }
                b'q' => {
                    let [key] = self.fixed()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.fixed()?);
                    self.remember(key)?;
                }
                0x94 => self.remember(self.memo.len() as u32)?,
                b'h' => {
                    let [key] = self.fixed()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.fixed()?);
                    self.recall(key)?;
                }
                b's' => {
                    let items = self.last(2)?;
                    self.extend(items)?;
                }
                b'a' => {
                    let items = self.last(1)?;
                    self.extend(items)?;
                }
                b'u' | b'e' => {
                    let items = self.since_mark()?;
                    self.extend(items)?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.name(module, name)?;
                }
                0x93 => {
                    let parts = self.last(2)?;
                    let (Value::Text(module), Value::Text(name)) = (&self.values[parts[0]], &self.values[parts[1]])
                    else {
                        return self.stop("the name of a function", "something else");
                    };
                    self.name(module, name)?;
                }
                b'R' => self.call()?,
                b'b' => self.build()?,
                other => {
                    self.at = start;
                    return self
                        .stop("an opcode that dictionaries, lists and arrays need", format!("{other:#04x}: refused"));
                }
            }
        }
    }

    fn take(&mut self, length: u64) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => self.stop(format!("{length} more bytes"), format!("the end after {}", rest.len())),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut fixed = [0; N];
        fixed.copy_from_slice(self.take(N as u64)?);
        Ok(fixed)
    }

    fn line(&mut self) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            return self.stop("the end of a line", "none");
        };
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<usize> {
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => self.stop("a value", "an empty stack"),
        }
    }

    /// Takes what lies on top, in the order in which it came.
    fn last(&mut self, count: usize) -> Step<Vec<usize>> {
        match self.stack.len().checked_sub(count) {
            Some(first) => Ok(self.stack.split_off(first)),
            None => self.stop(format!("{count} values"), "fewer"),
        }
    }

    fn since_mark(&mut self) -> Step<Vec<usize>> {
        match self.marks.pop() {
            Some(mark) if mark <= self.stack.len() => Ok(self.stack.split_off(mark)),
            _ => self.stop("a mark on the stack", "none"),
        }
    }

    fn text(&mut self, length: u64) -> Step {
        let text = self.take(length)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn remember(&mut self, key: u32) -> Step {
        let Some(&top) = self.stack.last() else { return self.stop("a value", "an empty stack") };
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Step {
        let Some(&value) = self.memo.get(&key) else { return self.stop("a value of before", format!("number {key}")) };
        self.stack.push(value);
        Ok(())
    }

    /// Adds to the list or dictionary on top.
    fn extend(&mut self, more: Vec<usize>) -> Step {
        let Some(&top) = self.stack.last() else { return self.stop("a list or dictionary", "an empty stack") };
        match &mut self.values[top] {
            Value::List(items) => items.extend(more),
            Value::Dict(items) if more.len().is_multiple_of(2) => items.extend(more),
            _ => return self.stop("a list or dictionary", "something else"),
        }
        Ok(())
    }

    fn name(&mut self, module: &[u8], name: &[u8]) -> Step {
        let name = match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => Name::Reconstruct,
            (b"numpy", b"ndarray") => Name::Array,
            (b"numpy", b"dtype") => Name::DType,
            _ => {
                let found = format!("{}.{}: refused", module.escape_ascii(), name.escape_ascii());
                return self.stop("an array of NumPy", found);
            }
        };
        self.push(Value::Name(name));
        Ok(())
    }

    /// What the two known functions would give for their arguments.
    fn call(&mut self) -> Step {
        let parts = self.last(2)?;
        let Value::Tuple(arguments) = &self.values[parts[1]] else { return self.stop("arguments", "something else") };
        let first = arguments.first().map(|&first| &self.values[first]);
        let result = match (&self.values[parts[0]], first) {
            (Value::Name(Name::Reconstruct), Some(Value::Name(Name::Array))) => Value::Array(None),
            (Value::Name(Name::DType), Some(Value::Text(text))) => Value::DType(text),
            _ => return self.stop("an array of NumPy", "a call of something else: refused"),
        };
        self.push(result);
        Ok(())
    }

    /// Gives an array its content: version, shape, type of elements, whether columns come first, bytes.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        let Some(&object) = self.stack.last() else { return self.stop("an array", "an empty stack") };
        match self.values[object] {
            // Byte order and alignment: of no meaning for single bytes, and no others are accepted.
            Value::DType(_) => return Ok(()),
            Value::Array(_) => {}
            _ => return self.stop("an array", "something else"),
        }
        let Value::Tuple(state) = &self.values[state] else {
            return self.stop("the content of an array", "something else");
        };
        let mut state = state.iter().map(|&part| &self.values[part]);
        let parts = [state.next(), state.next(), state.next(), state.next(), state.next()];
        let [
            _,
            Some(Value::Tuple(shape)),
            Some(Value::DType(dtype)),
            Some(Value::Int(by_columns)),
            Some(Value::Text(bytes)),
        ] = parts
        else {
            return self.stop("the content of an array", "something else");
        };
        if !matches!(*dtype, b"u1" | b"|u1") {
            return self.stop("an array of bytes (u1)", format!("elements of the type {}", dtype.escape_ascii()));
        }
        let sizes: Vec<_> = shape.iter().map(|&size| &self.values[size]).collect();
        let [Value::Int(rows), Value::Int(columns)] = sizes[..] else {
            return self.stop("an array of two dimensions", sizes.len().to_string());
        };
        let size = |size: &i64| usize::try_from(*size).ok();
        let (Some(rows), Some(columns)) = (size(rows), size(columns)) else {
            return self.stop("sizes of an array", format!("{rows}x{columns}"));
        };
        if rows.checked_mul(columns) != Some(bytes.len()) || *by_columns != 0 {
            let found = format!("{} bytes{}", bytes.len(), if *by_columns != 0 { ", columns first" } else { "" });
            return self.stop(format!("{rows}x{columns} bytes, rows first"), found);
        }
        self.values[object] = Value::Array(Some(Array { rows, columns, bytes }));
        Ok(())
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

    fn refusal(bytes: &[u8]) -> String {
        Pickle::parse(Path::new("batch"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_dictionary_of_a_list_and_an_array_is_read() {
        let pickle = Pickle::parse(Path::new("batch"), SMALL).unwrap();
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
    fn nothing_is_ever_called() {
        for (bytes, message) in [
            // pickle.dumps of an object whose __reduce__ gives (os.system, ("true",)), in protocols 0, 2 and 4.
            (&b"cposix\nsystem\n(Vtrue\ntR."[..], "byte 14: expected an array of NumPy, found posix.system: refused"),
            (
                b"\x80\x02cposix\nsystem\nX\x04\0\0\0true\x85R.",
                "byte 16: expected an array of NumPy, found posix.system: refused",
            ),
            (
                b"\x80\x04\x95\x1d\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x8c\x04true\x85R.",
                "byte 29: expected an array of NumPy, found posix.system: refused",
            ),
            (b"cnumpy\nndarray\n)R.", "byte 17: expected an array of NumPy, found a call of something else: refused"),
            (
                b"i__builtin__\neval\n.",
                "byte 0: expected an opcode that dictionaries, lists and arrays need, found 0x69: refused",
            ),
        ] {
            assert_eq!(refusal(bytes), format!("batch: {message}"));
        }
    }

    #[test]
    fn broken_pickles_are_refused() {
        for (bytes, message) in [
            (&b""[..], "byte 0: expected 1 more bytes, found the end after 0"),
            (&SMALL[..100], "byte 100: expected 1 more bytes, found the end after 0"),
            (b"T\xff\xff\xff\xffabc", "byte 5: expected 4294967295 more bytes, found the end after 3"),
            (b".", "byte 1: expected a value, found an empty stack"),
            (b"K\x01K\x02(\x87.", "byte 6: expected 3 values, found fewer"),
            (b"h\x07.", "byte 2: expected a value of before, found number 7"),
        ] {
            assert_eq!(refusal(bytes), format!("batch: {message}"));
        }
        let bomb = [&b"]q\x00"[..], &b"h\x00".repeat(MOST + 1), b"."].concat();
        assert!(refusal(&bomb).contains("expected at most 1048576 values, found more"));
    }

    proptest! {
        #[test]
        fn any_damage_is_values_or_an_error(damage in proptest::collection::vec((0..SMALL.len(), any::<u8>()), 0..8), end: u8) {
            let mut bytes = SMALL.to_vec();
            damage.into_iter().for_each(|(at, value)| bytes[at] = value);
            bytes.truncate(usize::from(end).max(1));
            if let Ok(pickle) = Pickle::parse(Path::new("batch"), &bytes) {
                let _ = (pickle.numbers("labels"), pickle.array("data"));
            }
        }
    }
}
