//! Reading a client's JSON objects field by field, so that what is wrong with one can be said by name.
//!
//! An object is scanned once and each wanted field remembered as the text it has; unknown fields are
//! skipped. A field that is `null` counts as left out, but for `data`, where `null` is a value like others.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use roomkeeper_types::MessageId;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::Error;
use crate::codec::excerpt;

/// The one field whose value no error repeats.
const SECRET: &str = "token";

/// Calls back for each entry of an object, in order. What the callback refuses ends the scan.
struct Entries<F>(F);

/// A key; borrowed unless it has escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F> DeserializeSeed<'de> for Entries<F>
where
    F: FnMut(&str, &'de RawValue) -> Result<(), String>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F> Visitor<'de> for Entries<F>
where
    F: FnMut(&str, &'de RawValue) -> Result<(), String>,
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            let value = map.next_value()?;
            (self.0)(&key, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// The wanted fields of an object, each at most once.
struct Wanted<const N: usize>([&'static str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Wanted<N> {
    type Value = [Field<'de>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut fields = self.0.map(|name| Field { name, raw: None });
        let note = |key: &str, value| match fields.iter_mut().find(|field| field.name == key) {
            Some(Field { name, raw: Some(_) }) => Err(format!("`{name}` is given twice")),
            Some(field) => {
                field.raw = Some(value);
                Ok(())
            }
            None => Ok(()),
        };
        Entries(note).deserialize(deserializer)?;
        Ok(fields)
    }
}

/// The wanted fields of each object of an array.
struct Elements<const N: usize>([&'static str; N]);

impl<'de, const N: usize> Visitor<'de> for Elements<N> {
    type Value = Vec<[Field<'de>; N]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(Wanted(self.0))? {
            elements.push(element);
        }
        Ok(elements)
    }
}

/// Calls back for each entry of the one object that `text` is.
///
/// # Errors
/// What is wrong with the text, in serde_json's words, or what the callback refused.
pub(super) fn entries<'a>(
    text: &'a str,
    each: impl FnMut(&str, &'a RawValue) -> Result<(), String>,
) -> Result<(), serde_json::Error> {
    refuse_text(text)?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Entries(each).deserialize(&mut deserializer)?;
    deserializer.end()
}

/// A text in the place of an object: serde_json would repeat all of it, and it may be a token.
fn refuse_text(text: &str) -> Result<(), serde_json::Error> {
    match text.trim_start().starts_with('"') {
        true => Err(serde_json::Error::custom("it is a text")),
        false => Ok(()),
    }
}

/// The fields of these names of the object that is `raw`; `what` names it in errors.
pub(super) fn fields<'a, const N: usize>(
    raw: &'a RawValue,
    what: &str,
    names: [&'static str; N],
) -> Result<[Field<'a>; N], Error> {
    refuse_text(raw.get())
        .and_then(|()| Wanted(names).deserialize(&mut serde_json::Deserializer::from_str(raw.get())))
        .map_err(|error| Error::bad_request(format!("{what}: expected an object: {error}")))
}

/// One field of an object, and its text if it was given.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    name: &'static str,
    raw: Option<&'a RawValue>,
}

impl<'a> Field<'a> {
    /// The value's text, `null` included.
    pub(super) fn verbatim(self) -> Option<&'a RawValue> {
        self.raw
    }

    /// The value's text, if it is not `null`.
    pub(super) fn given(self) -> Option<&'a RawValue> {
        self.raw.filter(|raw| raw.get() != "null")
    }

    /// A value that is not `expected`.
    pub(super) fn wrong(self, expected: &str) -> Error {
        let got = match self.given() {
            None => "nothing".to_owned(),
            // Whatever it is, it is not to be shown around.
            Some(_) if self.name == SECRET => "something else".to_owned(),
            Some(raw) => excerpt(raw.get()),
        };
        Error::bad_request(format!("{}: expected {expected}, got {got}", self.name))
    }

    pub(super) fn number(self) -> Result<Option<u64>, Error> {
        self.parsed("a whole number, 0 or more", |raw| serde_json::from_str(raw).ok())
    }

    pub(super) fn boolean(self) -> Result<Option<bool>, Error> {
        self.parsed("true or false", |raw| serde_json::from_str(raw).ok())
    }

    pub(super) fn text(self) -> Result<Option<Cow<'a, str>>, Error> {
        self.parsed("text", |raw| {
            let borrowed = serde_json::from_str(raw).ok().map(Cow::Borrowed);
            // A text with escapes has to be put together.
            borrowed.or_else(|| serde_json::from_str(raw).ok().map(Cow::Owned))
        })
    }

    pub(super) fn string(self) -> Result<Option<String>, Error> {
        Ok(self.text()?.map(Cow::into_owned))
    }

    /// A text that is the form of an id or a name.
    pub(super) fn parse<T: FromStr<Err: fmt::Display>>(self) -> Result<Option<T>, Error> {
        let Some(text) = self.text()? else { return Ok(None) };
        let parsed = text.parse();
        parsed.map(Some).map_err(|error| Error::bad_request(format!("{}: {error}", self.name)))
    }

    /// An array of UUIDs.
    pub(super) fn ids(self) -> Result<Option<Vec<MessageId>>, Error> {
        let Some(raw) = self.given() else { return Ok(None) };
        let ids = serde_json::from_str(raw.get());
        ids.map(Some).map_err(|error| {
            Error::bad_request(format!("{}: expected an array of UUIDs: {error}", self.name))
        })
    }

    /// The wanted fields of each object of an array.
    pub(super) fn elements<const N: usize>(
        self,
        names: [&'static str; N],
    ) -> Result<Option<Vec<[Field<'a>; N]>>, Error> {
        let Some(raw) = self.given() else { return Ok(None) };
        let mut deserializer = serde_json::Deserializer::from_str(raw.get());
        let elements = (&mut deserializer).deserialize_seq(Elements(names));
        elements.map(Some).map_err(|error| {
            Error::bad_request(format!("{}: expected an array of objects: {error}", self.name))
        })
    }

    fn parsed<T>(self, expected: &str, parse: impl FnOnce(&'a str) -> Option<T>) -> Result<Option<T>, Error> {
        match self.given() {
            None => Ok(None),
            Some(raw) => parse(raw.get()).map(Some).ok_or_else(|| self.wrong(expected)),
        }
    }
}
