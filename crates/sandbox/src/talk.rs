//! Talking with a program, line by line, over its standard streams, until what was to be said is said.

use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command};
use std::time::{Duration, Instant};

use model::call::ToolProgram;

use crate::interpreter;
use crate::run::{
    Begun, Inner, Killed, Limits, ProcessResult, Sandbox, SandboxError, check_given, code_of, collect,
    collected, surround, watch_over,
};

/// How long a program may take to end by itself once nobody talks with it any more.
const ENDING: Duration = Duration::from_secs(2);

/// The line to a running program.
pub struct Talk {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Bytes that may still be heard.
    left: usize,
}

/// Why nothing was heard, or nothing can be said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TalkError {
    /// The program closed its side, most often by ending.
    #[error("the program ended before it had answered")]
    Ended,
    /// It said more than is listened to.
    #[error("the program wrote more than may be kept")]
    TooMuch,
}

impl Talk {
    /// Says one line, which must not hold a line break.
    pub fn say(&mut self, line: &str) -> Result<(), TalkError> {
        let said = self.input.write_all(line.as_bytes()).and_then(|()| self.input.write_all(b"\n"));
        said.and_then(|()| self.input.flush()).map_err(|_| TalkError::Ended)
    }

    /// Waits for the next whole line, without its end. Bytes that are not UTF-8 are replaced.
    pub fn hear(&mut self) -> Result<String, TalkError> {
        let mut line = Vec::new();
        let most = u64::try_from(self.left).unwrap_or(u64::MAX).saturating_add(1);
        let read = self.output.by_ref().take(most).read_until(b'\n', &mut line);
        self.left = self.left.checked_sub(line.len()).ok_or(TalkError::TooMuch)?;
        match read {
            Ok(_) if line.pop_if(|last| *last == b'\n').is_some() => {
                Ok(String::from_utf8_lossy(&line).into_owned())
            }
            // Half a line is what somebody said who was cut short.
            Ok(_) | Err(_) => Err(TalkError::Ended),
        }
    }
}

impl Sandbox {
    /// Starts a tool server that the configuration names and lets `talk` talk with it. When `talk` is done, the program
    /// has two seconds to end. `may_start` and `cancelled` are asked as by [`Sandbox::run_while`].
    pub async fn talk_while<T: Send + 'static>(
        &self,
        program: &ToolProgram,
        limits: Limits,
        talk: impl FnOnce(&mut Talk) -> T + Send + 'static,
        cancelled: impl Fn() -> bool + Send + 'static,
        may_start: impl Fn() -> bool + Send + 'static,
    ) -> Result<Option<(T, ProcessResult)>, SandboxError> {
        let program = program.clone();
        self.in_a_place(cancelled, move |inner, cancelled| {
            inner.talk_if(&program, limits, talk, cancelled, &may_start)
        })
        .await
    }
}

impl Inner {
    fn talk_if<T: Send + 'static>(
        &self,
        program: &ToolProgram,
        limits: Limits,
        talk: impl FnOnce(&mut Talk) -> T + Send + 'static,
        cancelled: &dyn Fn() -> bool,
        may_start: &dyn Fn() -> bool,
    ) -> Result<Option<(T, ProcessResult)>, SandboxError> {
        let variables = program.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        check_given(0, program.arguments.iter().map(String::as_str), variables)?;
        let granted = granted(&self.config.tools);
        let path = found(&program.command, &granted)?;
        let make = |workspace: &crate::workspace::Workspace, _user: Option<u32>| {
            let mut command = Command::new(&path);
            command.args(&program.arguments);
            surround(&mut command, workspace);
            command.envs(&program.environment);
            Ok(command)
        };
        let Some(begun) = self.begin(&make, &granted, limits, may_start)? else { return Ok(None) };
        let Begun { slot: _slot, workspace, mut running, started } = begun;
        let (input, output) = (running.child.stdin.take(), running.child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(SandboxError::System("its streams could not be had".to_owned()));
        };
        let stderr = running.child.stderr.take().map(|pipe| collect(pipe, limits.output_bytes));
        // Its streams are closed when the talk is over, and end the talk when the program is gone.
        let talker = std::thread::spawn(move || {
            talk(&mut Talk { input, output: BufReader::new(output), left: limits.output_bytes })
        });
        let silent_since = Cell::new(None::<Instant>);
        let over = || {
            if !talker.is_finished() {
                return false;
            }
            let since = silent_since.get().unwrap_or_else(Instant::now);
            silent_since.set(Some(since));
            since.elapsed() >= ENDING
        };
        let watched = watch_over(&mut running, &workspace, limits, started, limits.wall, cancelled, &over);
        let (status, killed) = watched?;
        let told = talker.join().map_err(|_| SandboxError::System("the talk broke off".to_owned()))?;
        let (stderr, stderr_truncated) = collected(stderr)?;
        let result = ProcessResult {
            code: code_of(status),
            stdout: String::new(),
            stderr,
            stdout_truncated: false,
            stderr_truncated,
            duration_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            // A program that lingers after everything was said is no failure.
            killed: killed.filter(|killed| silent_since.get().is_none() || *killed == Killed::Cancelled),
        };
        Ok(Some((told, result)))
    }
}

/// What the configuration names, with every link followed; what is not there grants nothing.
fn granted(tools: &[PathBuf]) -> Vec<PathBuf> {
    tools.iter().filter_map(|path| path.canonicalize().ok()).collect()
}

/// The program of a command, when the configuration names it or a directory that it is in.
fn found(command: &str, granted: &[PathBuf]) -> Result<PathBuf, SandboxError> {
    let path = match command.contains('/') {
        true => Some(PathBuf::from(command)),
        false => interpreter::find(command),
    };
    let missing = || SandboxError::Invalid(format!("there is no program `{command}` on this machine"));
    let path = path.filter(|path| path.is_absolute()).ok_or_else(missing)?;
    let real = path.canonicalize().map_err(|_| missing())?;
    if !real.is_file() {
        return Err(missing());
    }
    if !granted.iter().any(|grant| real.starts_with::<&Path>(grant)) {
        return Err(SandboxError::Invalid(format!("`sandbox.tools` does not name `{}`", real.display())));
    }
    // As it was asked for: some programs look at the name that they are called by.
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_what_is_named_may_be_a_tool_server() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        std::fs::create_dir(at("tools")).expect("a directory");
        for name in ["tools/one", "other", "tools-not"] {
            std::fs::write(at(name), "").expect("a file");
        }
        symlink(at("other"), at("tools/out")).expect("a link");
        symlink(at("tools"), at("link")).expect("a link");
        let grants = granted(&[at("link"), at("gone")]);
        let may = |path: PathBuf| found(&path.display().to_string(), &grants).is_ok();
        assert!(may(at("tools/one")) && may(at("link/one")));
        for refused in ["other", "tools/out", "tools-not", "tools", "gone", "tools/../other"] {
            assert!(!may(at(refused)), "{refused}");
        }
        for refused in ["sh", "tools/one", "no-such-program-anywhere", ""] {
            assert!(found(refused, &grants).is_err(), "{refused}");
        }
        let shell = granted(&[PathBuf::from("/bin/sh")]);
        assert!(found("sh", &shell).is_ok() && found("cat", &shell).is_err());
    }
}
