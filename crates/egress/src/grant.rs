//! Grants: which hosts, ports and special addresses one effect may reach. Empty means nothing.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use model::effect::EffectNumber;
use model::{ExecutionId, TenantId};

use crate::address::{Class, classify, embedded_v4};

/// What one effect may reach, and on whose behalf.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Names that may be called; anything else is refused.
    pub hosts: Vec<HostRule>,
    /// Loopback, private and other special addresses that may be connected to.
    pub private: Vec<AddressRule>,
    /// True when redirects may be followed, each to a host of this grant.
    pub redirects: bool,
    /// Whose effect it is, for reports.
    pub tenant: TenantId,
    /// Which execution asked, for reports.
    pub execution: ExecutionId,
    /// Which of its effects, for reports.
    pub effect: EffectNumber,
}

/// `name`, `name:port`, `*.suffix` or `*.suffix:port`. Without a port only the scheme's own port (80, 443) is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HostRule {
    name: String,
    below: bool,
    port: Option<u16>,
}

/// A range of addresses, for all ports or for one: `127.0.0.1/32:8080`, `10.0.0.0/8`, `[fd00::/8]:443`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressRule {
    /// The range.
    pub net: IpNet,
    /// The only port, when one was given.
    pub port: Option<u16>,
}

/// A rule that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{rule}` is not {wanted}")]
pub struct InvalidRule {
    rule: String,
    wanted: &'static str,
}

/// Why the guard said no. Nothing was connected to.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The URI is not one that the door opens.
    #[error("the uri is refused: {0}")]
    Uri(String),
    /// No rule names the host and port.
    #[error("`{host}:{port}` is not on the allow-list; grant the host to the action to call it")]
    Host {
        /// The host as it was read.
        host: String,
        /// The port.
        port: u16,
    },
    /// The host has an address that is not public and not granted.
    #[error("`{host}` has the {class} address `{address}`, which is not granted")]
    Address {
        /// The host as it was read.
        host: String,
        /// The address.
        address: IpAddr,
        /// What the address is.
        class: &'static str,
    },
    /// A redirect that may not be followed.
    #[error("the redirect to `{to}` is refused: {reason}")]
    Redirect {
        /// Where it led, without its query.
        to: String,
        /// Why not.
        reason: String,
    },
}

impl Grant {
    /// Refuses a host and port that no rule names. `default_port` is the port of the URI's scheme.
    pub(crate) fn check_host(&self, host: &str, port: u16, default_port: u16) -> Result<(), Refusal> {
        match self.hosts.iter().any(|rule| rule.allows(host, port, default_port)) {
            true => Ok(()),
            false => Err(Refusal::Host { host: host.to_owned(), port }),
        }
    }

    /// Refuses an address that is neither public nor granted.
    pub(crate) fn check_address(&self, host: &str, address: IpAddr, port: u16) -> Result<(), Refusal> {
        let refused = |class| Err(Refusal::Address { host: host.to_owned(), address, class });
        let forms = [Some(address), hidden_v4(address)];
        let granted = |exact: bool| {
            self.private.iter().any(|rule| forms.iter().flatten().any(|form| rule.holds(*form, port, exact)))
        };
        match classify(address) {
            Class::Public => Ok(()),
            Class::Special(_) if granted(false) => Ok(()),
            Class::Metadata if granted(true) => Ok(()),
            Class::Special(class) | Class::Never(class) => refused(class),
            Class::Metadata => refused("metadata"),
        }
    }
}

fn hidden_v4(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => embedded_v4(v6).map(IpAddr::V4),
    }
}

impl HostRule {
    /// True when the rule names this host (lower case, brackets around IPv6) and port.
    pub fn allows(&self, host: &str, port: u16, default_port: u16) -> bool {
        let named = match self.below {
            true => host
                .strip_suffix(self.name.as_str())
                .is_some_and(|left| left.len() > 1 && left.ends_with('.')),
            false => host == self.name,
        };
        named && port == self.port.unwrap_or(default_port)
    }
}

impl AddressRule {
    fn holds(&self, address: IpAddr, port: u16, exact: bool) -> bool {
        self.net.contains(&address)
            && self.port.is_none_or(|only| only == port)
            && (!exact || self.net.prefix_len() == self.net.max_prefix_len())
    }
}

impl FromStr for HostRule {
    type Err = InvalidRule;

    /// The host is read as a URI reads it, so that `2130706433` and `127.0.0.1` are one name.
    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let wrong = || InvalidRule {
            rule: text.to_owned(),
            wanted: "a host rule: write `name`, `name:port`, `*.suffix` or `*.suffix:port`",
        };
        let (below, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if rest.contains(['/', '@', '?', '#', '*', '\\', ' ', '%']) || rest.len() > 260 {
            return Err(wrong());
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
                (host, Some(port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(wrong)?))
            }
            Some(_) | None => (rest, None),
        };
        let name = match url::Host::parse(host).map_err(|_| wrong())? {
            url::Host::Domain(name) if name.is_empty() || name.ends_with('.') => return Err(wrong()),
            url::Host::Domain(name) => name,
            literal @ (url::Host::Ipv4(_) | url::Host::Ipv6(_)) if !below => literal.to_string(),
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => return Err(wrong()),
        };
        Ok(Self { name, below, port })
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for AddressRule {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let wrong = || InvalidRule {
            rule: text.to_owned(),
            wanted: "an address rule: write `127.0.0.1/32:8080`, `10.0.0.0/8` or `[fd00::/8]:443`",
        };
        let (net, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((net, "")) => (net, None),
            Some((net, port)) => (net, Some(port.strip_prefix(':').ok_or_else(wrong)?)),
            None if text.matches(':').count() == 1 => {
                text.split_once(':').map(|(net, port)| (net, Some(port))).ok_or_else(wrong)?
            }
            None => (text, None),
        };
        let net =
            net.parse::<IpNet>().or_else(|_| net.parse::<IpAddr>().map(IpNet::from)).map_err(|_| wrong())?;
        let port = port.map(|port| port.parse::<u16>().map_err(|_| wrong())).transpose()?;
        Ok(Self { net, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_rules_name_exactly_what_they_say() {
        let table = [
            ("api.example.com", "api.example.com", 443, true),
            ("api.example.com", "api.example.com", 8443, false),
            ("API.Example.com", "api.example.com", 443, true),
            ("api.example.com:8443", "api.example.com", 8443, true),
            ("api.example.com:8443", "api.example.com", 443, false),
            ("*.example.com", "a.example.com", 443, true),
            ("*.example.com", "a.b.example.com", 443, true),
            ("*.example.com", "example.com", 443, false),
            ("*.example.com", ".example.com", 443, false),
            ("*.example.com", "badexample.com", 443, false),
            ("example.com", "example.com.evil.net", 443, false),
            ("127.0.0.1:80", "127.0.0.1", 80, true),
            ("2130706433:80", "127.0.0.1", 80, true),
            ("[::1]:80", "[::1]", 80, true),
        ];
        for (rule, host, port, expected) in table {
            let rule: HostRule = rule.parse().expect("the table holds rules");
            assert_eq!(rule.allows(host, port, 443), expected, "{rule} {host}:{port}");
        }
    }

    #[test]
    fn rules_that_say_nothing_clear_are_refused() {
        for rule in
            ["", "*", "*.", "*.*", "a b", "a/b", "u@a", "a:0", "a:x", "a:70000", "a.", "::1", "*.127.0.0.1"]
        {
            assert!(rule.parse::<HostRule>().is_err(), "{rule}");
        }
        for rule in ["", "x", "10.0.0.0/33", "127.0.0.1:x", "[::1]x"] {
            assert!(rule.parse::<AddressRule>().is_err(), "{rule}");
        }
    }

    #[test]
    fn special_addresses_need_a_grant_and_metadata_an_exact_one() {
        let table = [
            ("8.8.8.8", "", true),
            ("10.1.2.3", "", false),
            ("10.1.2.3", "10.0.0.0/8", true),
            ("10.1.2.3", "10.0.0.0/8:80", true),
            ("10.1.2.3", "10.0.0.0/8:81", false),
            ("::ffff:10.1.2.3", "10.0.0.0/8", true),
            ("169.254.169.254", "169.254.0.0/16", false),
            ("169.254.169.254", "0.0.0.0/0", false),
            ("169.254.169.254", "169.254.169.254/32", true),
            ("::ffff:169.254.169.254", "0.0.0.0/0", false),
            ("0.0.0.0", "0.0.0.0/0", false),
            ("224.0.0.1", "224.0.0.0/4", false),
            ("::1", "[::1/128]:80", true),
            ("::1", "127.0.0.1", false),
        ];
        for (address, rule, expected) in table {
            let grant = Grant {
                hosts: Vec::new(),
                private: (!rule.is_empty()).then(|| rule.parse().expect("a rule")).into_iter().collect(),
                redirects: false,
                tenant: TenantId::new("t").expect("an id"),
                execution: ExecutionId::new("e").expect("an id"),
                effect: EffectNumber(1),
            };
            let address: IpAddr = address.parse().expect("an address");
            assert_eq!(grant.check_address("h", address, 80).is_ok(), expected, "{address} under `{rule}`");
        }
    }
}
