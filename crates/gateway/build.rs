//! Collects the pages about error codes, so that the server can show each one.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let pages =
        Path::new(&env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?).join("../../docs/errors");
    println!("cargo::rerun-if-changed={}", pages.display());
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&pages)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with("OH-") && name.ends_with(".md") {
            names.push(name);
        }
    }
    names.sort();
    let mut table = String::from("[\n");
    for name in names {
        let path = pages.join(&name);
        println!("cargo::rerun-if-changed={}", path.display());
        let code = name.trim_end_matches(".md");
        table.push_str(&format!("    ({code:?}, include_str!({:?})),\n", path.display().to_string()));
    }
    table.push_str("]\n");
    fs::write(
        Path::new(&env::var("OUT_DIR").map_err(io::Error::other)?).join("errors.rs"),
        format!("&{table}"),
    )
}
