//! Python pickles of unknown origin, read as plain values: nothing is ever executed.
//!
//! A pickle is a program for a stack machine (Python's `pickletools` documents each opcode), and some of its opcodes call any
//! function there is. Here these only write down what would be called, as an [`Object`] with the function's [`Name`] and its
//! arguments; and a name that the caller does not expect ends the reading. Who reads a format knows what the few calls in it
//! mean, and takes their arguments for what they stand for.
//!
//! Memory is bounded: at most [`MOST`] values are built, texts and bytes are lent from the input and never copied, and lists
//! grow by at most 16 bytes for each byte of the input.
//!
//! ```
//! use mp_pickle::{Error, Item, Name, Pickle};
//!
//! // pickle.dumps({"epoch": 3}, protocol=2)
//! let bytes = b"\x80\x02}q\x00X\x05\x00\x00\x00epochq\x01K\x03s.";
//! let pickle = Pickle::parse(bytes, |_| false)?;
//! assert_eq!(pickle.root().get("epoch").and_then(Item::int), Some(3));
//!
//! // An object whose __reduce__ gives (os.system, ("true",)).
//! let Err(error) = Pickle::parse(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.", |_| false) else { panic!() };
//! assert_eq!(error.to_string(), "byte 16: holds `posix.system`, which would be executed by Python: refused");
//! # Ok::<(), Error>(())
//! ```

mod item;
mod machine;

use std::fmt;

pub use item::{Item, Object};

/// The most values that are built, and the most that lie on the stack, are marked or are remembered. CIFAR-100 needs 150,000,
/// the weights of a network some 30 a tensor.
pub const MOST: usize = 1 << 20;

/// Why a pickle is not read. Every message is one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It names a function or class that the reader does not expect.
    #[error("byte {at}: holds `{name}`, which would be executed by Python: refused")]
    Refused {
        /// Where in the pickle.
        at: usize,
        /// The name with its module, as `posix.system`.
        name: String,
    },
    /// It is cut short or damaged, or holds more than plain values.
    #[error("byte {at}: expected {expected}, found {found}")]
    Malformed {
        /// Where in the pickle.
        at: usize,
        /// What should stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
}

/// The name of a function or class, which stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name<'a> {
    /// The module, as `collections`.
    pub module: &'a str,
    /// The name in it, as `OrderedDict`.
    pub name: &'a str,
}

impl Name<'_> {
    /// Whether this is the name `module.name`.
    pub fn is(&self, module: &str, name: &str) -> bool {
        self.module == module && self.name == name
    }
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module.escape_default(), self.name.escape_default())
    }
}

/// What a pickle holds; texts and bytes are those of the input.
#[derive(Debug)]
pub struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Builds the values of a pickle in which no names occur but those that `known` expects. What follows the pickle in `bytes`
    /// is not looked at.
    ///
    /// # Errors
    /// [`Error::Refused`] for any other name; [`Error::Malformed`].
    pub fn parse(bytes: &'a [u8], known: impl Fn(Name<'_>) -> bool) -> Result<Self, Error> {
        Self::parse_first(bytes, known).map(|(pickle, _)| pickle)
    }

    /// As [`Pickle::parse`], and what follows the pickle: some formats are several, one after the other.
    ///
    /// # Errors
    /// As [`Pickle::parse`].
    pub fn parse_first(bytes: &'a [u8], known: impl Fn(Name<'_>) -> bool) -> Result<(Self, &'a [u8]), Error> {
        let (values, root, end) = machine::run(bytes, &known)?;
        Ok((Self { values, root }, &bytes[end..]))
    }

    /// Every value that names something outside of the pickle.
    pub fn persistent(&self) -> impl Iterator<Item = Item<'_, 'a>> {
        let all = (0..).zip(&self.values);
        all.filter(|(_, value)| matches!(value, Value::Persistent(_))).map(|(id, _)| Item::new(self, id))
    }

    /// The value that the pickle is.
    pub fn root(&self) -> Item<'_, 'a> {
        Item::new(self, self.root)
    }
}

/// The position of a value in [`Pickle::values`], of which there are at most [`MOST`].
type Id = u32;

/// A value; other values are named by their position. It may hold itself: nothing here follows positions by itself.
#[derive(Debug)]
enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A whole number of more than eight bytes, the lowest first, in two's complement.
    Long(&'a [u8]),
    Float(f64),
    /// Text or bytes: Python 2 made no difference.
    Text(&'a [u8]),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Keys and values in turn.
    Dict(Vec<Id>),
    Name(Name<'a>),
    Object(Box<Parts<'a>>),
    /// What the format keeps outside of the pickle, under this value.
    Persistent(Id),
}

/// What a function or class would be given.
#[derive(Debug)]
struct Parts<'a> {
    function: Name<'a>,
    arguments: Id,
    /// What it would be filled with afterwards: keys and values in turn, or values.
    items: Vec<Id>,
    state: Option<Id>,
}
