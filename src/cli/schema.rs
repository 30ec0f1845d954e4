//! `schema`: the JSON Schema of policy documents.
//!
//! In: nothing · Out: JSON · Touches: nothing

/// The schema as indented JSON.
pub fn text() -> String {
    format!("{:#}\n", crate::domain::schema::schema())
}
