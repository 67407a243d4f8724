//! Which program runs which language. Fixed places only: a search path could be steered.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use model::effect::Program;

/// Where programs are looked for, and the whole search path of a sandboxed program.
pub(crate) const PLACES: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// The file in the fresh directory that holds a script.
pub(crate) const SCRIPT: &str = ".script";

const LANGUAGES: [(&str, &str); 3] = [("shell", "sh"), ("javascript", "node"), ("python", "python3")];

/// A program with the arguments that come before the caller's own.
pub(crate) struct Command {
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Source text to put into [`SCRIPT`].
    pub(crate) script: Option<String>,
}

pub(crate) fn find_all() -> BTreeMap<&'static str, PathBuf> {
    LANGUAGES.iter().filter_map(|(language, program)| Some((*language, find(program)?))).collect()
}

/// The command of a program, or the language that has no interpreter here.
pub(crate) fn command(program: &Program, found: &BTreeMap<&'static str, PathBuf>) -> Result<Command, String> {
    let path = |language: &str| found.get(language).cloned().ok_or_else(|| language.to_owned());
    match program {
        // The `sh` after the command is its own name, `$0`; the caller's arguments follow as `$1`.
        Program::Shell { command } => Ok(Command {
            path: path("shell")?,
            arguments: vec!["-c".into(), command.into(), "sh".into()],
            script: None,
        }),
        Program::Script { language, code } => {
            let language = match language.as_str() {
                "js" => "javascript",
                other => other,
            };
            let options: &[&str] = match language {
                "javascript" => &["--max-old-space-size=256", SCRIPT],
                // Isolated: no user site, no environment, but the script's own directory stays importable.
                "python" => &["-s", "-E", "-B", SCRIPT],
                _ => return Err(language.to_owned()),
            };
            let arguments = options.iter().map(OsString::from).collect();
            Ok(Command { path: path(language)?, arguments, script: Some(code.clone()) })
        }
        // An engine runs it, not the sandbox.
        Program::Container { .. } => Err("container".to_owned()),
    }
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(program)).find(|path| path.is_file())
}
