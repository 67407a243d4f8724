//! Which server, and as whom: flags, environment, remembered login, or the token of a server on this machine.

use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::Global;
use crate::client::Client;
use crate::config;
use crate::exit::Failure;

/// Where a server listens when nobody says otherwise.
pub(crate) const ADDRESS: &str = "http://127.0.0.1:8420";
/// Longest token file that is read, in bytes.
const TOKEN_BYTES_MAX: u64 = 4096;

/// A client for the server and principal that the command line means.
pub(crate) fn client(global: &Global) -> Result<Client, Failure> {
    let remembered = remembered()?;
    let address = match (&global.address, &remembered) {
        (Some(address), _) => address.clone(),
        (None, Some(login)) => login.address.clone(),
        (None, None) => ADDRESS.to_owned(),
    };
    let token = token(global, &address, remembered.as_ref())?;
    Client::new(&address, token)
}

fn token(global: &Global, address: &str, remembered: Option<&Remembered>) -> Result<Option<String>, Failure> {
    if let Some(file) = &global.token_file {
        return read_token(file).map(Some);
    }
    if let Some(token) = std::env::var("OMNIHUB_TOKEN").ok().filter(|token| !token.is_empty()) {
        return Ok(Some(token));
    }
    if let Some(login) = remembered.filter(|login| login.address == address) {
        return Ok(Some(login.token.clone()));
    }
    // The administrator's token never leaves this machine by itself.
    let file = config::data_dir(global.data_dir.as_deref()).join("admin.token");
    if is_loopback(address) && file.exists() { read_token(&file).map(Some) } else { Ok(None) }
}

/// Reads a token from a file; white space around it is ignored.
pub(crate) fn read_token(file: &Path) -> Result<String, Failure> {
    let text = config::read_limited(file, TOKEN_BYTES_MAX)?;
    let token = text.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        return Err(Failure::usage(format!("`{}` does not hold one token", file.display())));
    }
    Ok(token.to_owned())
}

/// What `omnihub login` keeps.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remembered {
    pub(crate) address: String,
    pub(crate) token: String,
}

/// The file of `omnihub login`.
pub(crate) fn login_file() -> PathBuf {
    let base = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")))
        .unwrap_or_else(|| PathBuf::from(".config"));
    base.join("omnihub").join("login.toml")
}

fn remembered() -> Result<Option<Remembered>, Failure> {
    let file = login_file();
    if !file.exists() {
        return Ok(None);
    }
    let text = config::read_limited(&file, TOKEN_BYTES_MAX)?;
    toml::from_str(&text).map(Some).map_err(|error| {
        Failure::usage(format!("`{}` is damaged: {}; run `omnihub login`", file.display(), error.message()))
    })
}

/// True for an address on this machine.
pub(crate) fn is_loopback(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for (address, own) in [
            ("http://127.0.0.1:8420", true),
            ("http://[::1]:8420", true),
            ("http://localhost", true),
            ("http://127.0.0.1.example.com", false),
            ("https://hub.example.com", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_loopback(address), own, "{address}");
        }
    }
}
