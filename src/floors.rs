//! A room may use only rooms that the floor plan lists above it.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A room: its module path in the plan, such as `engine::collect`, and its source files.
struct Room {
    name: String,
    files: Vec<PathBuf>,
}

fn plan() -> Vec<Room> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = fs::read_to_string(root.join("lib.rs")).unwrap();
    let mut open: Vec<String> = Vec::new();
    let mut rooms = Vec::new();
    for line in text.lines().map(|line| line.split(" //").next().unwrap_or_default().trim()) {
        if let Some(floor) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(" {")) {
            open.push(floor.to_owned());
        } else if line == "}" {
            open.pop();
        } else if let Some(room) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';')) {
            let name = open.iter().map(String::as_str).chain([room]).collect::<Vec<_>>().join("::");
            let base = root.join(name.replace("::", "/"));
            let mut files = vec![base.with_extension("rs")];
            files.extend(sources(&base).unwrap_or_default());
            rooms.push(Room { name, files });
        }
    }
    rooms
}

fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path()));
    Ok(files
        .collect::<io::Result<Vec<_>>>()?
        .into_iter()
        .filter(|p| p.extension().is_some_and(|e| e == "rs"))
        .collect())
}

/// Tests may look everywhere: they bring rooms together that do not know each other.
fn is_test(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "tests.rs")
}

/// Full paths of the rooms that a text of code names with `crate::` or, one floor down, `super::`.
fn uses(code: &str, room: &str) -> Vec<String> {
    let floor = room.rsplit_once("::").map_or("", |(floor, _)| floor);
    let mut found = Vec::new();
    for line in code.lines().take_while(|line| !line.contains("#[cfg(test)]")) {
        let line = line.split("//").next().unwrap_or_default();
        for (start, prefix) in [("crate::", String::new()), ("super::", format!("{floor}::"))] {
            for (at, _) in line.match_indices(start) {
                let path: String = line[at + start.len()..]
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                    .collect();
                found.push(format!("{prefix}{path}"));
            }
        }
    }
    found
}

#[test]
fn a_room_uses_only_rooms_listed_above_it() {
    let rooms = plan();
    assert!(rooms.len() > 10, "the floor plan was not understood");
    let mut wrong = Vec::new();
    for (position, room) in rooms.iter().enumerate() {
        for file in room.files.iter().filter(|file| !is_test(file)) {
            let code = fs::read_to_string(file).unwrap();
            for path in uses(&code, &room.name) {
                let inside =
                    |other: &Room| path == other.name || path.starts_with(&format!("{}::", other.name));
                let Some(target) = rooms.iter().position(inside) else { continue };
                let crosses = room.name.starts_with("engine::")
                    && rooms[target].name.starts_with("adapters::")
                    || room.name.starts_with("adapters::") && rooms[target].name.starts_with("engine::");
                if target > position || crosses {
                    wrong.push(format!("{} uses {}", room.name, rooms[target].name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rooms look the wrong way:\n{}", wrong.join("\n"));
}

#[test]
fn every_source_file_is_a_room_of_the_plan() {
    let known: Vec<PathBuf> = plan().into_iter().flat_map(|room| room.files).collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut stray = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !known.contains(&path) {
                stray.push(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    stray.retain(|file| !["lib.rs", "main.rs", "floors.rs"].contains(&file.as_str()));
    assert!(stray.is_empty(), "not in the floor plan: {stray:?}");
}
