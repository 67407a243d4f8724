//! `login`: remembers a server and a token in a file that only its owner can read.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::Global;
use crate::client::Client;
use crate::commands::{connect, input};
use crate::exit::Failure;
use crate::json::{joined, text};
use crate::screen::Screen;

/// `omnihub login`
#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Forget what is remembered.
    #[arg(long)]
    forget: bool,
}

/// Reads a token from `--token-file`, `OMNIHUB_TOKEN` or stdin, tries it, and keeps it.
pub(crate) async fn run(args: LoginArgs, global: &Global, screen: Screen) -> Result<(), Failure> {
    let file = connect::login_file();
    if args.forget {
        return forget(&file, screen);
    }
    let address = global.address.clone().unwrap_or_else(|| connect::ADDRESS.to_owned());
    let token = token(global, screen)?;
    let client = Client::new(&address, Some(token.clone()))?;
    let who = client.get("/whoami").await?;
    keep(&file, &connect::Remembered { address: address.clone(), token })?;
    screen.data(&who, || {
        format!(
            "{} in {} ({}) at {address}",
            text(&who, "/principal"),
            text(&who, "/tenant"),
            joined(&who, "/roles")
        )
    })?;
    screen.say(format!("kept in {}", file.display()));
    Ok(())
}

fn token(global: &Global, screen: Screen) -> Result<String, Failure> {
    if let Some(file) = &global.token_file {
        return connect::read_token(file);
    }
    if let Some(token) = std::env::var("OMNIHUB_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(token);
    }
    if Screen::interactive() {
        screen.say("paste the token, then press Enter and Ctrl-D:");
    }
    let token = input::stdin()?.trim().to_owned();
    if token.is_empty() {
        return Err(Failure::usage("no token was given; use --token-file, OMNIHUB_TOKEN or stdin"));
    }
    Ok(token)
}

fn forget(file: &Path, screen: Screen) -> Result<(), Failure> {
    match std::fs::remove_file(file) {
        Ok(()) => screen.say("forgotten"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => screen.say("nothing was remembered"),
        Err(error) => return Err(Failure::internal(format!("cannot remove `{}`: {error}", file.display()))),
    }
    Ok(())
}

fn keep(file: &Path, login: &connect::Remembered) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::internal(format!("cannot write `{}`: {error}", file.display()));
    let text = toml::to_string(login).map_err(|error| Failure::internal(error.to_string()))?;
    let directory: PathBuf = file.parent().map(Path::to_path_buf).unwrap_or_default();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
    let new = directory.join("login.toml.new");
    let mut open = std::fs::OpenOptions::new();
    let mut handle = open.write(true).create(true).truncate(true).mode(0o600).open(&new).map_err(failed)?;
    handle.write_all(text.as_bytes()).and_then(|()| handle.sync_all()).map_err(failed)?;
    std::fs::rename(&new, file).map_err(failed)
}
