//! Reads JSON and leaves one field out while it does, so that it never takes memory.
//!
//! In: JSON text, a path · Out: JSON · Touches: nothing

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::domain::object::{Json, JsonMap};

/// Keys that lead to a field; lists on the way are passed through.
pub type Path = &'static [&'static str];

/// A JSON value without the field at the path. What does not lie on the way is read as it is.
#[derive(Clone, Copy)]
pub struct Without(pub Path);

impl<'de> DeserializeSeed<'de> for Without {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Json, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Without {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let Some((field, below)) = self.0.split_first() else {
            return Err(A::Error::custom("an empty path"));
        };
        let mut map = JsonMap::new();
        while let Some(key) = access.next_key::<String>()? {
            if key != *field {
                map.insert(key, access.next_value()?);
            } else if below.is_empty() {
                access.next_value::<IgnoredAny>()?;
            } else {
                map.insert(key, access.next_value_seed(Self(below))?);
            }
        }
        Ok(Json::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(self)? {
            list.push(value);
        }
        Ok(Json::Array(list))
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let mut input = serde_json::Deserializer::from_str(text);
        Without(&["metadata", "managedFields", "fieldsV1"]).deserialize(&mut input).unwrap().to_string()
    }

    #[test]
    fn one_field_is_left_out_wherever_lists_lead_to_it() {
        assert_eq!(
            read(
                r#"{"z":1,"metadata":{"managedFields":[{"manager":"a","fieldsV1":{"f:x":{}}},{"fieldsV1":1,"b":2}],"name":"n"}}"#
            ),
            r#"{"z":1,"metadata":{"managedFields":[{"manager":"a"},{"b":2}],"name":"n"}}"#
        );
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        for text in [
            r#"{"fieldsV1":{"a":1},"spec":{"metadata":{"managedFields":[{"fieldsV1":1}]}}}"#,
            r#"{"metadata":null,"big":18446744073709551615,"small":-9223372036854775808,"half":0.5}"#,
            r#"{"metadata":{"managedFields":null}}"#,
            r#"{"metadata":{"managedFields":["text",true,-1,2,1.5,null]}}"#,
            r#""text""#,
        ] {
            assert_eq!(read(text), text);
        }
    }
}
