//! Where the server listens and whom it believes, checked before a socket is opened.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

/// Where it listens if nothing is said: this machine only, on a port that nothing usual has.
pub const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7717);

/// What a person set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Address and port, `off`, or nothing: [`USUAL`].
    pub listen: Option<String>,
    /// The certificate's chain, PEM.
    pub tls_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub tls_key: Option<PathBuf>,
    /// Names, besides those of loopback, by which it may be asked.
    pub hosts: Vec<String>,
    /// Whether figures are given without a token.
    pub metrics_open: bool,
    /// Whether it may listen beyond this machine without TLS: behind a proxy that has it.
    pub plain: bool,
}

/// What holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Chain and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Further names by which it may be asked, in lower case.
    pub hosts: Vec<String>,
    /// Whether figures are given without a token.
    pub metrics_open: bool,
}

/// Settings that cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// No address and port.
    #[error(
        "`http.listen` is `{text}`: it must be an address with a port, such as 127.0.0.1:7717 or [::1]:7717, or off"
    )]
    Listen {
        /// What was set.
        text: String,
    },
    /// One of two.
    #[error(
        "`http.tls-cert` and `http.tls-key` go together: write both at once (nodekeep config edit), or neither"
    )]
    HalfTls,
    /// In clear beyond this machine.
    #[error(
        "`http.listen` is {listen}, which others on the network reach, and there is no TLS: tokens would pass in clear. Set http.tls-cert and http.tls-key; or, behind a proxy that has TLS, http.plain = true"
    )]
    InClear {
        /// What was set.
        listen: SocketAddr,
    },
    /// Others on the network would read figures.
    #[error(
        "`http.metrics-open` gives figures without a token, which is for loopback only, and `http.listen` is {listen}. Leave it out, and give Prometheus a token with the role read"
    )]
    OpenMetrics {
        /// What was set.
        listen: SocketAddr,
    },
}

impl Settings {
    /// What holds; `None`: nothing listens.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn terms(&self) -> Result<Option<Terms>, SettingsError> {
        let listen = match self.listen.as_deref() {
            Some("off") => return Ok(None),
            Some(text) => {
                text.parse().map_err(|_| SettingsError::Listen { text: text.to_owned() })?
            }
            None => USUAL,
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(SettingsError::HalfTls),
        };
        if !listen.ip().is_loopback() && tls.is_none() && !self.plain {
            return Err(SettingsError::InClear { listen });
        }
        if !listen.ip().is_loopback() && self.metrics_open {
            return Err(SettingsError::OpenMetrics { listen });
        }
        let hosts = self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Ok(Some(Terms { listen, tls, hosts, metrics_open: self.metrics_open }))
    }
}

impl Terms {
    /// Whether a request for this host is one for us. A page of another site can make a browser send requests here, under its own name.
    pub fn knows(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        let is_own = |ip: IpAddr| ip.is_loopback() || ip == self.listen.ip();
        name == "localhost"
            || bare.parse::<IpAddr>().is_ok_and(is_own)
            || self.hosts.contains(&name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(listen: &str) -> Settings {
        Settings { listen: Some(listen.to_owned()), ..Settings::default() }
    }

    #[test]
    fn nothing_listens_in_clear_beyond_this_machine_unless_told() {
        assert_eq!(Settings::default().terms().unwrap().unwrap().listen, USUAL);
        assert_eq!(set("off").terms(), Ok(None));
        assert!(matches!(set("0.0.0.0:80").terms(), Err(SettingsError::InClear { .. })));
        assert!(matches!(set("7717").terms(), Err(SettingsError::Listen { .. })));
        let plain = Settings { plain: true, ..set("0.0.0.0:80") };
        assert!(plain.terms().unwrap().is_some());
        let open = Settings { metrics_open: true, ..plain };
        assert!(matches!(open.terms(), Err(SettingsError::OpenMetrics { .. })));
        let half = Settings { tls_cert: Some("/c".into()), ..Settings::default() };
        assert_eq!(half.terms(), Err(SettingsError::HalfTls));
    }

    #[test]
    fn only_known_names_are_answered() {
        let hosts = vec!["Nodes.Example.org".to_owned()];
        let terms = Settings { hosts, ..Settings::default() }.terms().unwrap().unwrap();
        let known =
            ["localhost", "LOCALHOST:7717", "127.0.0.1:7717", "[::1]:9", "nodes.example.org:443"];
        for host in known {
            assert!(terms.knows(host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "10.0.0.1", "", "127.0.0.1.nip.io"] {
            assert!(!terms.knows(host), "{host}");
        }
    }
}
