//! What `omnihub workflows` does without a server: form and picture.

mod support;

use std::path::{Path, PathBuf};

use support::{omnihub, run};

const UNTIDY: &str = "document: {dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0'}\ndo:\n# the first\n- a:\n    set: {x: 1}   # kept\n    then:   end\n";
const TIDY: &str = "document: { dsl: '1.0.3', namespace: test, name: flow, version: '1.0.0' }\ndo:\n  # the first\n  - a:\n      set: { x: 1 } # kept\n      then: end\n";

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

fn write(home: &Path, name: &str, text: &str) -> PathBuf {
    let path = home.join(name);
    std::fs::write(&path, text).expect("it can be written");
    path
}

fn told(home: &Path, arguments: &[&str]) -> (i32, String, String) {
    run(&mut omnihub(home, arguments))
}

#[test]
fn fmt_writes_files_in_place_and_check_only_looks() {
    let home = home();
    let (untidy, tidy) = (write(home.path(), "untidy.yaml", UNTIDY), write(home.path(), "tidy.yaml", TIDY));
    let files = [untidy.to_str().expect("a name"), tidy.to_str().expect("a name")];
    let read = |path: &Path| std::fs::read_to_string(path).expect("it is there");

    let (code, out, err) = told(home.path(), &["workflows", "fmt", "--check", files[0], files[1]]);
    assert_eq!((code, out.trim_end()), (1, files[0]), "{err}");
    assert_eq!(read(&untidy), UNTIDY, "a check writes nothing");

    let (code, out, err) = told(home.path(), &["workflows", "fmt", files[0], files[1]]);
    assert_eq!((code, out.trim_end()), (0, files[0]), "{err}");
    assert_eq!((read(&untidy).as_str(), read(&tidy).as_str()), (TIDY, TIDY));
    let (code, out, _) = told(home.path(), &["workflows", "fmt", "--check", files[0], files[1]]);
    assert_eq!((code, out.as_str()), (0, ""));

    let broken = write(home.path(), "broken.yaml", "do: [\n");
    let (code, out, err) = told(home.path(), &["workflows", "fmt", broken.to_str().expect("a name")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("OH-1001"), "{err}");
    assert_eq!(read(&broken), "do: [\n");
    let left: Vec<_> =
        std::fs::read_dir(home.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().ends_with(".fmt")), "{left:?}");
}

#[test]
fn our_examples_are_in_their_form() {
    let home = home();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut files = Vec::new();
    documents(&folder, &mut files);
    assert!(files.len() >= 4, "{files:?}");
    let mut arguments = vec!["workflows", "fmt", "--check"];
    arguments.extend(files.iter().map(String::as_str));
    let (code, out, err) = told(home.path(), &arguments);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
}

fn documents(folder: &Path, found: &mut Vec<String>) {
    for path in std::fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true => documents(&path, found),
            false if path.extension().is_some_and(|ending| ending == "yaml") => {
                found.push(path.display().to_string())
            }
            false => {}
        }
    }
}

#[test]
fn graph_draws_a_document_without_its_actions_and_refuses_what_is_none() {
    let home = home();
    let text = format!("{TIDY}  - b: {{ call: 'not-published:1.0.0', if: .x > 1 }}\n");
    let file = write(home.path(), "flow.yaml", &text);
    let file = file.to_str().expect("a name");
    let (code, out, err) = told(home.path(), &["workflows", "graph", file]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("<svg xmlns=") && out.trim_end().ends_with("</svg>"), "{out}");
    for words in [">a<", ">not-published:1.0.0<", ">end<", "if .x &gt; 1", "test/flow:1.0.0"] {
        assert!(out.contains(words), "{words} in {out}");
    }
    let to = home.path().join("flow.svg");
    let (code, said, err) =
        told(home.path(), &["workflows", "graph", file, "--to", to.to_str().expect("a name")]);
    assert_eq!((code, said.as_str()), (0, ""), "{err}");
    assert_eq!(std::fs::read_to_string(to).expect("it was written"), out);

    let wrong = write(home.path(), "wrong.yaml", "document: 1\ndoo: []\n");
    let (code, out, err) = told(home.path(), &["workflows", "graph", wrong.to_str().expect("a name")]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("1:11") && err.contains("did you mean `do`?"), "{err}");
}
