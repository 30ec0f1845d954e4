//! Shows results: text for people, JSON and YAML for programs, one value for all three.
//!
//! In: any printable result · Out: text on standard output · Touches: standard output

use std::io::{self, Write};

use serde::Serialize;

use super::args::Format;

/// A result that has a form for people besides its data.
pub trait Show: Serialize {
    /// Writes the form for people; `quiet` leaves out what is not the result itself.
    fn show(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()>;
}

/// How results are shown.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    /// Form of the output.
    pub format: Format,
    /// Results and errors only.
    pub quiet: bool,
}

impl Printer {
    /// Writes a result to standard output. A closed pipe is no error.
    pub fn print(self, result: &dyn ErasedShow) -> io::Result<()> {
        let mut out = anstream::AutoStream::auto(io::stdout().lock());
        let written = match self.format {
            Format::Text => result.show_text(&mut out, self.quiet),
            Format::Json => result.json().and_then(|text| writeln!(out, "{text}")),
            Format::Yaml => result.yaml().and_then(|text| write!(out, "{text}")),
        };
        match written.and_then(|()| out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}

/// [`Show`] without its type, so that one function prints every result.
pub trait ErasedShow {
    /// The form for people.
    fn show_text(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()>;
    /// Indented JSON.
    fn json(&self) -> io::Result<String>;
    /// YAML.
    fn yaml(&self) -> io::Result<String>;
}

impl<T: Show> ErasedShow for T {
    fn show_text(&self, out: &mut dyn Write, quiet: bool) -> io::Result<()> {
        self.show(out, quiet)
    }

    fn json(&self) -> io::Result<String> {
        serde_json::to_string_pretty(self).map_err(io::Error::other)
    }

    fn yaml(&self) -> io::Result<String> {
        let tree = serde_json::to_value(self).map_err(io::Error::other)?;
        crate::engine::yaml::emit(&tree).map_err(io::Error::other)
    }
}

/// A plain text table: columns as wide as their longest cell, two spaces between, none at the end of a line.
pub fn table(out: &mut dyn Write, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let cells = |row: &[String]| row.iter().map(|c| c.chars().count()).collect::<Vec<_>>();
    let mut widths: Vec<usize> = header.iter().map(|h| h.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(cells(row)) {
            *width = cell.max(*width);
        }
    }
    let line = |row: Vec<&str>| {
        let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(header.to_vec()))?;
    for row in rows {
        writeln!(out, "{}", line(row.iter().map(String::as_str).collect()))?;
    }
    Ok(())
}

/// Bytes for people: `512 B`, `1.4 KiB`, `8.0 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let mut size = count as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

/// `1 object`, `2 objects`.
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut out = Vec::new();
        table(&mut out, &["NAME", "AGE"], &[vec!["longer-name".into(), "1d".into()]]).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME         AGE\nlonger-name  1d\n");
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!([bytes(7), bytes(1_500), bytes(9 << 20)], ["7 B", "1.5 KiB", "9.0 MiB"]);
    }
}
