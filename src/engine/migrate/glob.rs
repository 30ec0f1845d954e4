//! Velero's globs as regular expressions: `*`, `**`, `?`, `[abc]`, `[!abc]`, `{a,b}`, and a backslash before any of these.
//!
//! In: a glob · Out: a regular expression · Touches: nothing

/// Whether `*` and `?` also stand for dots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dots {
    /// They do, as in names of namespaces.
    Matched,
    /// They do not, as between a resource and the parts of its group; `**` does.
    Separate,
}

/// Whether a text holds anything that is wild.
pub fn is_wild(text: &str) -> bool {
    text.contains(['*', '?', '[', ']', '{', '}', '\\'])
}

/// The regular expression, without anchors.
///
/// # Errors
/// One clause that says what is wrong with the glob.
pub fn regex(glob: &str, dots: Dots) -> Result<String, String> {
    let any = if dots == Dots::Matched { "." } else { "[^.]" };
    let (mut out, mut open) = (String::new(), 0_usize);
    let mut chars = glob.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => out.push_str(".*"),
            '*' => out.extend([any, "*"]),
            '?' => out.push_str(any),
            '[' => out.push_str(&class(&mut chars)?),
            '{' => {
                open += 1;
                out.push_str("(?:");
            }
            ',' if open > 0 => out.push('|'),
            '}' if open > 0 => {
                open -= 1;
                out.push(')');
            }
            '\\' => match chars.next() {
                Some(literal) => out.push_str(&regex::escape(&literal.to_string())),
                None => return Err("ends with a backslash".into()),
            },
            ']' | '}' => return Err(format!("has a `{c}` that closes nothing")),
            '-' => out.push('-'),
            literal => out.push_str(&regex::escape(&literal.to_string())),
        }
    }
    if open > 0 { Err("has a `{` without `}`".into()) } else { Ok(out) }
}

/// The rest of a class whose `[` is read.
fn class(chars: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut inside = String::new();
    let closed = chars.by_ref().any(|c| {
        inside.extend((c != ']').then_some(c));
        c == ']'
    });
    let (not, list) = inside.strip_prefix('!').map_or(("", inside.as_str()), |rest| ("^", rest));
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !closed || list.is_empty() || !list.chars().all(fine) {
        return Err("has a `[` without letters and `]`".into());
    }
    Ok(format!("[{not}{list}]"))
}

/// The globs that a glob with `{a,b}` stands for; they hold no braces.
///
/// # Errors
/// One clause, for braces in braces and those without an end.
pub fn alternatives(glob: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = glob.split_once('{') else { return Ok(vec![glob.to_owned()]) };
    let Some((list, after)) = rest.split_once('}') else { return Err("has a `{` without `}`".into()) };
    if list.contains('{') {
        return Err("has braces in braces".into());
    }
    let rest = alternatives(after)?;
    let each = list.split(',').flat_map(|one| rest.iter().map(move |rest| format!("{before}{one}{rest}")));
    Ok(each.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_dots_only_where_they_do_not_separate() {
        let texts = |glob: &str, dots| regex(glob, dots).unwrap();
        assert_eq!(texts("a*.?", Dots::Separate), "a[^.]*\\.[^.]");
        assert_eq!(texts("a*.?", Dots::Matched), "a.*\\..");
        assert_eq!(texts("**.x", Dots::Separate), ".*\\.x");
        assert_eq!(texts("{a,b}-[!c-e]\\*", Dots::Matched), "(?:a|b)-[^c-e]\\*");
    }

    #[test]
    fn braces_become_a_list() {
        assert_eq!(alternatives("{a,b}.{c,d}").unwrap(), ["a.c", "a.d", "b.c", "b.d"]);
        assert_eq!(alternatives("pods").unwrap(), ["pods"]);
    }

    #[test]
    fn what_is_no_glob_is_refused() {
        for glob in ["[a", "[]", "{a", "a}", "a]", "a\\"] {
            assert!(regex(glob, Dots::Matched).is_err(), "{glob}");
        }
        assert!(alternatives("{a,{b}}").is_err() && alternatives("{a").is_err());
    }
}
