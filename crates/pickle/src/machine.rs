//! The stack machine, without the opcodes that execute anything.

use std::collections::HashMap;

use crate::{Error, Id, MOST, Name, Parts, Value};

/// Builds the values of the pickle at the beginning of `bytes`: all of them, which one it is, and where it ends.
pub(crate) fn run<'a>(bytes: &'a [u8], known: &dyn Fn(Name<'_>) -> bool) -> Result<(Vec<Value<'a>>, Id, usize), Error> {
    let mut machine =
        Machine { bytes, at: 0, known, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
    let root = machine.run()?;
    Ok((machine.values, root, machine.at))
}

struct Machine<'a, 'k> {
    bytes: &'a [u8],
    at: usize,
    known: &'k dyn Fn(Name<'_>) -> bool,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

type Step<T = ()> = Result<T, Error>;

impl<'a> Machine<'a, '_> {
    fn stop<T>(&self, expected: impl Into<String>, found: impl Into<String>) -> Step<T> {
        Err(Error::Malformed { at: self.at, expected: expected.into(), found: found.into() })
    }

    /// Runs to the end and gives the value that is left.
    fn run(&mut self) -> Step<Id> {
        loop {
            let most = self.stack.len().max(self.values.len()).max(self.marks.len()).max(self.memo.len());
            if most > MOST {
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
                0x88 | 0x89 => self.push(Value::Bool(opcode == 0x88)),
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
                0x8a => {
                    let [length] = self.fixed()?;
                    self.long(length.into())?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.fixed()?);
                    self.long(length.into())?;
                }
                b'G' => {
                    let number = f64::from_be_bytes(self.fixed()?);
                    self.push(Value::Float(number));
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
                    let (Value::Text(module), Value::Text(name)) = (self.value(parts[0]), self.value(parts[1])) else {
                        return self.stop("the name of a function", "something else");
                    };
                    let (module, name) = (*module, *name);
                    self.name(module, name)?;
                }
                b'R' => self.call()?,
                b'b' => self.build()?,
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Value::Persistent(id));
                }
                other => {
                    self.at = start;
                    return self.stop("an opcode of plain values", format!("{other:#04x}: refused"));
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

    fn value(&self, id: Id) -> &Value<'a> {
        &self.values[id as usize]
    }

    fn push(&mut self, value: Value<'a>) {
        // Below MOST, which the loop looks after.
        self.stack.push(self.values.len() as Id);
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<Id> {
        match self.stack.pop() {
            Some(value) => Ok(value),
            None => self.stop("a value", "an empty stack"),
        }
    }

    /// Takes what lies on top, in the order in which it came.
    fn last(&mut self, count: usize) -> Step<Vec<Id>> {
        match self.stack.len().checked_sub(count) {
            Some(first) => Ok(self.stack.split_off(first)),
            None => self.stop(format!("{count} values"), "fewer"),
        }
    }

    fn since_mark(&mut self) -> Step<Vec<Id>> {
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

    /// A whole number in two's complement, the lowest byte first.
    fn long(&mut self, length: u64) -> Step {
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut eight = if negative { [0xff; 8] } else { [0; 8] };
        self.push(match eight.get_mut(..bytes.len()) {
            Some(start) => {
                start.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(eight))
            }
            None => Value::Long(bytes),
        });
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

    /// Adds to the list, dictionary or object on top.
    fn extend(&mut self, more: Vec<Id>) -> Step {
        let Some(&top) = self.stack.last() else { return self.stop("a list or dictionary", "an empty stack") };
        match &mut self.values[top as usize] {
            Value::List(items) => items.extend(more),
            Value::Dict(items) if more.len().is_multiple_of(2) => items.extend(more),
            Value::Object(parts) if more.len().is_multiple_of(2) => parts.items.extend(more),
            _ => return self.stop("a list or dictionary", "something else"),
        }
        Ok(())
    }

    fn name(&mut self, module: &'a [u8], name: &'a [u8]) -> Step {
        match (str::from_utf8(module), str::from_utf8(name)) {
            (Ok(module), Ok(name)) if (self.known)(Name { module, name }) => {
                self.push(Value::Name(Name { module, name }));
                Ok(())
            }
            _ => {
                let name = format!("{}.{}", module.escape_ascii(), name.escape_ascii());
                Err(Error::Refused { at: self.at, name })
            }
        }
    }

    /// Writes down what would be called.
    fn call(&mut self) -> Step {
        let parts = self.last(2)?;
        let (function, arguments) = (parts[0], parts[1]);
        let Value::Name(function) = *self.value(function) else {
            return self.stop("a function with a name", "a call of something else: refused");
        };
        if !matches!(self.value(arguments), Value::Tuple(_)) {
            return self.stop("arguments", "something else");
        }
        self.push(Value::Object(Box::new(Parts { function, arguments, items: Vec::new(), state: None })));
        Ok(())
    }

    /// Writes down the state that an object would be given.
    fn build(&mut self) -> Step {
        let state = self.pop()?;
        let Some(&object) = self.stack.last() else { return self.stop("an object", "an empty stack") };
        match &mut self.values[object as usize] {
            Value::Object(parts) => parts.state = Some(state),
            _ => return self.stop("an object", "something else"),
        }
        Ok(())
    }
}
