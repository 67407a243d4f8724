//! Reads file and environment into checked settings.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use toml::Value;

use crate::config::keys::{KEYS, Key, Kind};
use crate::config::settings::{Containers, Egress, Http, Limits, Log, LogFormat, Sandbox, Settings};
use crate::config::{crashes, data_dir, environment, read_limited, suggest, wrong};
use crate::exit::Failure;

/// Largest configuration file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Longest duration that is accepted anywhere: a year.
const DURATION_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// What an engine of containers is let see of the environment: where its programs, its files and its server are.
const ENGINE_VARIABLES: [&str; 5] = ["PATH", "HOME", "XDG_RUNTIME_DIR", "DOCKER_HOST", "CONTAINER_HOST"];

/// Settings from the file named by `OMNIHUB_CONFIG` (or `omnihub.toml` in the data directory, when there is one), and
/// the environment. `dir` is the flag's data directory.
pub(crate) fn load(dir: Option<&Path>, variables: &BTreeMap<String, String>) -> Result<Settings, Failure> {
    let from_environment = environment::values(variables)?;
    let first_dir =
        dir.map(Path::to_path_buf).or_else(|| from_environment.get("data_dir").map(PathBuf::from));
    let first_dir = data_dir(first_dir.as_deref());
    let mut values = Values::default();
    match variables.get("OMNIHUB_CONFIG") {
        Some(path) => values.read_file(Path::new(path))?,
        None if first_dir.join("omnihub.toml").exists() => {
            values.read_file(&first_dir.join("omnihub.toml"))?
        }
        None => {}
    }
    for (name, text) in from_environment {
        values.0.insert(
            name,
            (
                Value::String(text),
                KEYS.iter().find(|key| key.name == name).map(Key::variable).unwrap_or_default(),
            ),
        );
    }
    let mut settings = values.settings(environment::controls(variables)?)?;
    settings.crash = crashes::planned(variables)?;
    settings.containers.environment = ENGINE_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), variables.get(*name)?.clone())))
        .collect();
    if dir.is_some() || settings.data_dir.as_os_str().is_empty() {
        settings.data_dir = first_dir;
    }
    Ok(settings)
}

/// Values by key, each with where it stands.
#[derive(Debug, Default)]
struct Values(BTreeMap<&'static str, (Value, String)>);

impl Values {
    fn read_file(&mut self, path: &Path) -> Result<(), Failure> {
        let text = read_limited(path, FILE_BYTES_MAX)?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line =
                error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            wrong(format!("{}:{line}: {}", path.display(), error.message()))
        })?;
        self.take_table(&table, "", path)
    }

    fn take_table(&mut self, table: &toml::Table, prefix: &str, path: &Path) -> Result<(), Failure> {
        for (name, value) in table {
            let full = format!("{prefix}{name}");
            if let Some(key) = KEYS.iter().find(|key| key.name == full) {
                self.0.insert(key.name, (value.clone(), path.display().to_string()));
            } else if let Value::Table(inner) = value
                && KEYS.iter().any(|key| key.name.starts_with(&format!("{full}.")))
            {
                self.take_table(inner, &format!("{full}."), path)?;
            } else {
                let failure = wrong(format!("{}: there is no key `{full}`", path.display()));
                return Err(match suggest::nearest(&full, KEYS.iter().map(|key| key.name)) {
                    Some(near) => failure.hint(format!("did you mean `{near}`?")),
                    None => failure.hint("`omnihub serve --help-config` lists every key"),
                });
            }
        }
        Ok(())
    }

    fn settings(&self, controls: Vec<crate::config::settings::HeldControl>) -> Result<Settings, Failure> {
        // Everything is checked, also what the settings below would not look at.
        for key in KEYS {
            self.check(key)?;
        }
        Ok(Settings {
            data_dir: PathBuf::from(self.text("data_dir")),
            http: Http { address: self.parsed("http.address")?, origins: self.texts("http.origins") },
            admin: self.parsed("admin.address")?,
            log: Log {
                format: if self.text("log.format") == "human" { LogFormat::Human } else { LogFormat::Json },
                level: self.text("log.level"),
            },
            approvals_expire: self.duration("approvals.expires")?,
            plans_expire: self.duration("plans.expires")?,
            events_max: self.number("events.max")?,
            egress: Egress {
                allow: self.texts("egress.allow"),
                private: self
                    .texts("egress.private")
                    .iter()
                    .map(|text| network(text))
                    .collect::<Option<_>>()
                    .unwrap_or_default(),
                extra_ca: Some(PathBuf::from(self.text("egress.extra_ca")))
                    .filter(|path| !path.as_os_str().is_empty()),
                connect_timeout: self.duration("egress.connect_timeout")?,
                timeout: self.duration("egress.timeout")?,
                body_bytes: self.number("egress.body_bytes")?,
            },
            sandbox: Sandbox {
                required: self.text("sandbox.required") == "true",
                timeout: self.duration("sandbox.timeout")?,
                memory_bytes: self.number("sandbox.memory_bytes")?,
                processes: self.number("sandbox.processes")?,
                output_bytes: self.number("sandbox.output_bytes")?,
                tools: self.texts("sandbox.tools").into_iter().map(PathBuf::from).collect(),
            },
            containers: Containers {
                engine: Some(PathBuf::from(self.text("containers.engine")))
                    .filter(|path| !path.as_os_str().is_empty()),
                environment: Vec::new(),
            },
            limits: Limits {
                connections: self.number("limits.connections")?,
                requests: self.number("limits.requests")?,
                rate: self.number("limits.rate")?,
                burst: self.number("limits.burst")?,
                streams: self.number("limits.streams")?,
                effects: self.number("limits.effects")?,
            },
            controls,
            crash: None,
        })
    }

    fn key(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The value as text; lists with commas.
    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            None => Self::key(name).map_or(String::new(), |key| key.default.to_owned()),
            Some((Value::String(text), _)) => text.trim().to_owned(),
            Some((Value::Array(items), _)) => {
                items.iter().map(|item| item.as_str().unwrap_or_default()).collect::<Vec<_>>().join(",")
            }
            Some((other, _)) => other.to_string(),
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        self.text(name).split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    fn number(&self, name: &str) -> Result<u64, Failure> {
        self.parsed(name)
    }

    fn duration(&self, name: &str) -> Result<Duration, Failure> {
        duration(&self.text(name)).ok_or_else(|| wrong(format!("`{name}` is not a duration")))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        let text = self.text(name);
        text.parse().map_err(|_| wrong(format!("`{name}` cannot be `{text}`")))
    }

    fn check(&self, key: &Key) -> Result<(), Failure> {
        let Some((value, place)) = self.0.get(key.name) else { return Ok(()) };
        let lists = matches!(key.kind, Kind::Texts | Kind::Networks | Kind::Origins);
        if let Value::Array(items) = value
            && !(lists && items.iter().all(|item| item.is_str()))
        {
            return Err(wrong(format!("{place}: `{}` must be {}", key.name, expected(key.kind))));
        }
        let text = self.text(key.name);
        let fine = match key.kind {
            Kind::Address => text.parse::<std::net::SocketAddr>().is_ok(),
            Kind::Path | Kind::Texts => value.is_str() || value.is_array(),
            Kind::Networks => self.texts(key.name).iter().all(|item| network(item).is_some()),
            Kind::Origins => self.texts(key.name).iter().all(|item| is_origin(item)),
            Kind::Duration => duration(&text).is_some_and(|found| !found.is_zero() && found <= DURATION_MAX),
            Kind::Number(least, most) => {
                text.parse::<u64>().is_ok_and(|found| (least..=most).contains(&found))
            }
            Kind::Boolean => matches!(text.as_str(), "true" | "false"),
            Kind::Word(words) => words.contains(&text.as_str()),
        };
        if fine {
            Ok(())
        } else {
            Err(wrong(format!("{place}: `{}` is `{text}`; it must be {}", key.name, expected(key.kind))))
        }
    }
}

/// What a key takes, for people.
pub(crate) fn expected(kind: Kind) -> String {
    match kind {
        Kind::Address => "an address such as `127.0.0.1:8420`".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Texts => "a list of texts".to_owned(),
        Kind::Networks => "a list of networks such as `10.1.0.0/16` or `127.0.0.1`".to_owned(),
        Kind::Origins => "a list of origins such as `https://console.example.com`".to_owned(),
        Kind::Duration => "a duration such as `PT30S` or `PT1H`, at most a year".to_owned(),
        Kind::Number(least, most) => format!("a whole number from {least} to {most}"),
        Kind::Boolean => "`true` or `false`".to_owned(),
        Kind::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
    }
}

/// An ISO 8601 duration of days, hours, minutes and seconds.
fn duration(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    if text.chars().next()? != 'P' || span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0
    {
        return None;
    }
    let signed = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))
}

fn is_origin(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(Some(Path::new("/nowhere/omnihub")), &variables)
    }

    #[test]
    fn defaults_are_complete_and_fine() {
        for key in KEYS {
            let values = Values(BTreeMap::from([(
                key.name,
                (Value::String(key.default.to_owned()), "default".to_owned()),
            )]));
            assert_eq!(values.check(key), Ok(()), "{}", key.name);
        }
        let settings = with(&[]).expect("the defaults");
        assert_eq!(settings.http.address.to_string(), "127.0.0.1:8420");
        assert_eq!(settings.approvals_expire, Duration::from_secs(3600));
        assert_eq!(settings.data_dir, Path::new("/nowhere/omnihub"));
    }

    #[test]
    fn the_environment_overrides_and_is_checked() {
        let settings = with(&[
            ("OMNIHUB_HTTP__ADDRESS", "127.0.0.1:0"),
            ("OMNIHUB_EGRESS__PRIVATE", "127.0.0.1, 10.0.0.0/8"),
        ]);
        let settings = settings.expect("fine");
        assert_eq!(settings.http.address.port(), 0);
        assert_eq!(settings.egress.private.len(), 2);
        for (name, value) in [
            ("OMNIHUB_HTTP__ADDRESS", "localhost"),
            ("OMNIHUB_APPROVALS__EXPIRES", "1h"),
            ("OMNIHUB_APPROVALS__EXPIRES", "PT0S"),
            ("OMNIHUB_APPROVALS__EXPIRES", "P1M"),
            ("OMNIHUB_LIMITS__RATE", "0"),
            ("OMNIHUB_LOG__LEVEL", "loud"),
            ("OMNIHUB_HTTP__ORIGINS", "https://a.example/path"),
            ("OMNIHUB_KILL_SWITCH", "perhaps"),
        ] {
            assert_eq!(
                with(&[(name, value)]).map_err(|failure| failure.code),
                Err(Some("OH-5020".to_owned())),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn an_unknown_variable_names_the_nearest() {
        let failure = with(&[("OMNIHUB_HTTP__ADRESS", "127.0.0.1:1")]).expect_err("unknown");
        assert_eq!(failure.hints, ["did you mean `OMNIHUB_HTTP__ADDRESS`?"]);
    }

    #[test]
    fn the_four_controls_go_by_their_own_names() {
        let settings =
            with(&[("OMNIHUB_KILL_SWITCH", "true"), ("ALLOWED_OPERATIONS", "order-*, refund-create")])
                .expect("fine");
        assert_eq!(settings.controls.len(), 2);
        assert!(settings.controls[0].on);
        assert_eq!(settings.controls[1].operations, ["order-*", "refund-create"]);
    }

    #[test]
    fn an_unknown_key_of_the_file_names_the_nearest() {
        let mut values = Values::default();
        let table: toml::Table = "[http]\nadress = \"127.0.0.1:1\"".parse().expect("TOML");
        let failure = values.take_table(&table, "", Path::new("omnihub.toml")).expect_err("unknown");
        assert_eq!(failure.hints, ["did you mean `http.address`?"]);
        let table: toml::Table = "[htp]\naddress = \"127.0.0.1:1\"".parse().expect("TOML");
        assert!(values.take_table(&table, "", Path::new("omnihub.toml")).is_err());
    }
}
