//! Just enough JSON to read what `mp-train bench --json` prints: this package has no dependencies.

use std::iter::Peekable;
use std::str::Chars;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one value and nothing after it; `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader(text.chars().peekable());
        let value = reader.value()?;
        reader.space();
        reader.0.next().is_none().then_some(value)
    }

    /// The value of a key of an object.
    pub(super) fn get(&self, key: &str) -> Option<&Json> {
        match self {
            Self::Object(entries) => entries.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        if let Self::Number(value) = self { Some(*value) } else { None }
    }

    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(value) = self { Some(value) } else { None }
    }

    pub(super) fn list(&self) -> Option<&[Json]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// A list of numbers.
    pub(super) fn numbers(&self) -> Option<Vec<f64>> {
        self.list()?.iter().map(Json::number).collect()
    }
}

/// A text in quotes.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c < ' ' => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

struct Reader<'a>(Peekable<Chars<'a>>);

impl Reader<'_> {
    fn space(&mut self) {
        while self.0.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    }

    fn expect(&mut self, word: &str) -> Option<()> {
        word.chars().all(|c| self.0.next_if_eq(&c).is_some()).then_some(())
    }

    fn value(&mut self) -> Option<Json> {
        self.space();
        match *self.0.peek()? {
            'n' => self.expect("null").map(|()| Json::Null),
            't' => self.expect("true").map(|()| Json::Bool(true)),
            'f' => self.expect("false").map(|()| Json::Bool(false)),
            '"' => self.string().map(Json::Text),
            '[' => self.sequence('[', ']', Self::value).map(Json::List),
            '{' => self.sequence('{', '}', Self::entry).map(Json::Object),
            _ => self.number().map(Json::Number),
        }
    }

    fn entry(&mut self) -> Option<(String, Json)> {
        self.space();
        let key = self.string()?;
        self.space();
        self.expect(":")?;
        Some((key, self.value()?))
    }

    fn sequence<T>(&mut self, open: char, close: char, item: fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.0.next_if_eq(&open)?;
        let mut items = Vec::new();
        self.space();
        if self.0.next_if_eq(&close).is_some() {
            return Some(items);
        }
        loop {
            items.push(item(self)?);
            self.space();
            match self.0.next()? {
                ',' => {}
                c if c == close => return Some(items),
                _ => return None,
            }
        }
    }

    fn number(&mut self) -> Option<f64> {
        let mut text = String::new();
        while let Some(c) = self.0.next_if(|c| c.is_ascii_digit() || "+-.eE".contains(*c)) {
            text.push(c);
        }
        text.parse().ok()
    }

    fn string(&mut self) -> Option<String> {
        self.0.next_if_eq(&'"')?;
        let mut text = String::new();
        loop {
            match self.0.next()? {
                '"' => return Some(text),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    fn escaped(&mut self) -> Option<char> {
        Some(match self.0.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'u' => {
                let digits: String = self.0.by_ref().take(4).collect();
                // Names and machines are never written as surrogate pairs.
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            c => c,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mp_train_prints_is_read() {
        let json =
            Json::parse(r#" {"a": [1, -2.5e1], "b": {"c": "x\n\"y\""}, "d": null, "e": [], "f": true} "#).unwrap();
        assert_eq!(json.get("a").and_then(Json::numbers), Some(vec![1.0, -25.0]));
        assert_eq!(json.get("b").and_then(|b| b.get("c")).and_then(Json::text), Some("x\n\"y\""));
        assert_eq!((json.get("d"), json.get("f")), (Some(&Json::Null), Some(&Json::Bool(true))));
        assert_eq!(json.get("e").and_then(Json::list), Some(&[][..]));
        assert_eq!(json.get("g"), None);
    }

    #[test]
    fn what_is_cut_short_or_followed_by_more_is_not() {
        for text in ["", "{\"a\": 1", "[1, ]", "[1 2]", "\"a", "{a: 1}", "1 2", "nul"] {
            assert_eq!(Json::parse(text), None, "{text}");
        }
    }

    #[test]
    fn quoted_text_reads_back() {
        for text in ["plain", "with \"quotes\" and \\", "a\ttab"] {
            assert_eq!(Json::parse(&quoted(text)), Some(Json::Text(text.to_owned())));
        }
    }
}
