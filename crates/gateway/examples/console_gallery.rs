//! Writes every console page with sample data to a folder, to look at them without a server:
//! `cargo run -p gateway --example console_gallery -- /tmp/gallery`

use std::path::{Path, PathBuf};

#[path = "gallery/samples.rs"]
mod samples;

fn main() -> std::io::Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).map_or_else(|| "target/gallery".into(), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    for (from, to) in [
        ("console.css", "console.css"),
        ("console.js", "console.js"),
        ("icon.svg", "icon.svg"),
        ("vendor/idiomorph-0.8.0.min.js", "idiomorph.js"),
    ] {
        std::fs::copy(assets.join(from), folder.join(to))?;
    }
    let variants = [
        ("", samples::pages(None)),
        ("-dark", samples::pages(Some("dark"))),
        ("-hostile", samples::hostile_pages()),
    ];
    for (variant, pages) in variants {
        for (name, page) in pages {
            let path = folder.join(format!("{name}{variant}.html"));
            std::fs::write(&path, local(&page))?;
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// The page with its assets beside it.
fn local(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut rest = page;
    while let Some(at) = rest.find("/console/assets/") {
        out.push_str(&rest[..at]);
        let tail = &rest[at + "/console/assets/".len()..];
        rest = tail.split_once('/').map_or(tail, |(_, name)| name);
    }
    out.push_str(rest);
    // Without a server there is nothing to be live with, and the samples' clock stands still.
    out.replace("<script src=\"console.js\" defer></script>", "")
}
