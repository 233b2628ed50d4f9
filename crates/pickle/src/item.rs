//! Looking at values.

use crate::{Id, Name, Parts, Pickle, Value};

/// A value of a pickle. Each question is answered with `None` where the value is of another kind.
#[derive(Clone, Copy)]
pub struct Item<'p, 'a> {
    pickle: &'p Pickle<'a>,
    id: Id,
}

impl<'p, 'a> Item<'p, 'a> {
    pub(crate) fn new(pickle: &'p Pickle<'a>, id: Id) -> Self {
        Self { pickle, id }
    }

    fn value(self) -> &'p Value<'a> {
        &self.pickle.values[self.id as usize]
    }

    /// Which value of its pickle it is: one that is held in several places has one number.
    pub fn number(self) -> u32 {
        self.id
    }

    /// Whether it is Python's `None`.
    pub fn is_none(self) -> bool {
        matches!(self.value(), Value::None)
    }

    /// A truth value.
    pub fn bool(self) -> Option<bool> {
        match *self.value() {
            Value::Bool(value) => Some(value),
            _ => None,
        }
    }

    /// A whole number of at most eight bytes.
    pub fn int(self) -> Option<i64> {
        match *self.value() {
            Value::Int(value) => Some(value),
            _ => None,
        }
    }

    /// A whole number of more than eight bytes: the lowest first, in two's complement.
    pub fn long(self) -> Option<&'a [u8]> {
        match *self.value() {
            Value::Long(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A number with a fraction.
    pub fn float(self) -> Option<f64> {
        match *self.value() {
            Value::Float(value) => Some(value),
            _ => None,
        }
    }

    /// Text or bytes: Python 2 made no difference.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match *self.value() {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Text, if it is UTF-8.
    pub fn text(self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    /// The members of a tuple.
    pub fn tuple(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        match self.value() {
            Value::Tuple(items) => Some(self.all(items)),
            _ => None,
        }
    }

    /// The members of a list.
    pub fn list(self) -> Option<impl ExactSizeIterator<Item = Self>> {
        match self.value() {
            Value::List(items) => Some(self.all(items)),
            _ => None,
        }
    }

    /// The keys of a dictionary with their values, in the order in which they came. A key may come again, and its last value is
    /// the one that Python keeps.
    pub fn pairs(self) -> Option<impl ExactSizeIterator<Item = (Self, Self)>> {
        match self.value() {
            Value::Dict(items) => Some(self.in_pairs(items)),
            _ => None,
        }
    }

    /// The value of a key in a dictionary.
    pub fn get(self, key: &str) -> Option<Self> {
        let Value::Dict(items) = self.value() else { return None };
        let mut pairs = items.as_chunks::<2>().0.iter();
        let pair = pairs.rfind(|[found, _]| Self::new(self.pickle, *found).bytes() == Some(key.as_bytes()))?;
        Some(Self::new(self.pickle, pair[1]))
    }

    /// The name of a function or class that is not called.
    pub fn name(self) -> Option<Name<'a>> {
        match *self.value() {
            Value::Name(name) => Some(name),
            _ => None,
        }
    }

    /// What a function or class would give.
    pub fn object(self) -> Option<Object<'p, 'a>> {
        match self.value() {
            Value::Object(parts) => Some(Object { item: self, parts }),
            _ => None,
        }
    }

    /// What names something that the format keeps outside of the pickle.
    pub fn persistent(self) -> Option<Self> {
        match *self.value() {
            Value::Persistent(id) => Some(Self::new(self.pickle, id)),
            _ => None,
        }
    }

    /// The kind of value, for messages: `a list`.
    pub fn kind(self) -> &'static str {
        match self.value() {
            Value::None => "None",
            Value::Bool(_) => "a truth value",
            Value::Int(_) | Value::Long(_) => "a whole number",
            Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Tuple(_) => "a tuple",
            Value::List(_) => "a list",
            Value::Dict(_) => "a dictionary",
            Value::Name(_) => "a function or class",
            Value::Object(_) => "an object",
            Value::Persistent(_) => "something outside of the pickle",
        }
    }

    fn all(self, items: &'p [Id]) -> impl ExactSizeIterator<Item = Self> {
        items.iter().map(move |&id| Self::new(self.pickle, id))
    }

    fn in_pairs(self, items: &'p [Id]) -> impl ExactSizeIterator<Item = (Self, Self)> {
        let pairs = items.as_chunks::<2>().0.iter();
        pairs.map(move |&[key, value]| (Self::new(self.pickle, key), Self::new(self.pickle, value)))
    }
}

/// What a function or class would give for its arguments: written down, not called.
#[derive(Clone, Copy)]
pub struct Object<'p, 'a> {
    item: Item<'p, 'a>,
    parts: &'p Parts<'a>,
}

impl<'p, 'a> Object<'p, 'a> {
    /// The name of the function or class, one that the reader of the pickle expects.
    pub fn name(self) -> Name<'a> {
        self.parts.function
    }

    /// The arguments.
    pub fn arguments(self) -> impl ExactSizeIterator<Item = Item<'p, 'a>> {
        let arguments = match &self.item.pickle.values[self.parts.arguments as usize] {
            Value::Tuple(items) => &items[..],
            _ => &[],
        };
        self.item.all(arguments)
    }

    /// The keys and values that it would be filled with afterwards, as a dictionary is.
    pub fn pairs(self) -> impl ExactSizeIterator<Item = (Item<'p, 'a>, Item<'p, 'a>)> {
        self.item.in_pairs(&self.parts.items)
    }

    /// The state that it would be given afterwards.
    pub fn state(self) -> Option<Item<'p, 'a>> {
        self.parts.state.map(|id| Item::new(self.item.pickle, id))
    }
}
