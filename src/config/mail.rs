//! `[mail]`: the server that takes the mail of last resort.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

use super::Error;

/// `[mail]`, once `server` is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who takes the mail.
    pub server: MailServer,
    /// Where the password of `server`'s user is.
    pub password_file: Option<PathBuf>,
    /// Whom it is from: `phoneops@example.com`, or `PhoneOps <phoneops@example.com>`.
    pub from: String,
    /// Certificates to trust beside the operating system's, PEM.
    pub ca_file: Option<PathBuf>,
}

/// A submission server (RFC 6409), and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailServer {
    /// Its name, which its certificate must have, or its address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether what is said there can be read on the way.
    pub security: MailSecurity,
    /// Who we are there; nobody when it asks for none.
    pub user: Option<String>,
}

/// Whether what is said to a mail server can be read on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailSecurity {
    /// TLS from the first byte (RFC 8314 section 3.3).
    Wrapped,
    /// TLS after `STARTTLS` (RFC 3207), or nothing is said.
    StartTls,
    /// None: the server is this machine.
    Plain,
}

/// A text that names no mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAMailServer {
    /// Another form.
    #[error("expected smtps://user@host:465, or smtp://user@host:587 for STARTTLS; the user is left out where none is needed")]
    Form,
    /// A password where it would be read in logs and lists of processes.
    #[error("the password belongs into mail.password_file")]
    Password,
}

impl FromStr for MailServer {
    type Err = NotAMailServer;

    fn from_str(text: &str) -> Result<Self, NotAMailServer> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAMailServer::Form)?;
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (user, at) = rest.rsplit_once('@').map_or((None, rest), |(user, at)| (Some(user), at));
        let user = user.map(|user| if user.contains(':') { Err(NotAMailServer::Password) } else { decoded(user) }).transpose()?;
        let (host, port) = place(at.strip_suffix('/').unwrap_or(at)).ok_or(NotAMailServer::Form)?;
        let (security, default_port) = match (scheme, query) {
            ("smtps", None) => (MailSecurity::Wrapped, 465),
            ("smtp", None) if is_this_machine(&host) => (MailSecurity::Plain, 25),
            ("smtp", None | Some("starttls")) => (MailSecurity::StartTls, 587),
            _ => return Err(NotAMailServer::Form),
        };
        Ok(Self { host, port: port.unwrap_or(default_port), security, user })
    }
}

/// Host and port of `mail.example.com:465`, `[::1]:25`.
fn place(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<IpAddr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
    let port = port.map(|port| port.parse().ok().filter(|port| *port != 0)).map_or(Some(None), |port| port.map(Some))?;
    (!host.is_empty() && host.bytes().all(plain)).then(|| (host.to_owned(), port))
}

/// A user's name without its percent signs (RFC 3986 section 2.1): `phoneops%40example.com`.
fn decoded(user: &str) -> Result<String, NotAMailServer> {
    let mut bytes = Vec::with_capacity(user.len());
    let mut rest = user.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let hex = after.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit)).ok_or(NotAMailServer::Form)?;
            let hex = std::str::from_utf8(hex).map_err(|_| NotAMailServer::Form)?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|_| NotAMailServer::Form)?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    let user = String::from_utf8(bytes).map_err(|_| NotAMailServer::Form)?;
    if user.is_empty() || user.chars().any(char::is_control) { Err(NotAMailServer::Form) } else { Ok(user) }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MailFile {
    server: Option<String>,
    password_file: Option<PathBuf>,
    from: Option<String>,
    ca_file: Option<PathBuf>,
}

impl MailFile {
    /// Sets `PHONEOPS_MAIL_…`; `false` when there is no such key.
    pub(super) fn set(&mut self, key: &str, value: &str) -> bool {
        match key {
            "SERVER" => self.server = Some(value.to_owned()),
            "PASSWORD_FILE" => self.password_file = Some(value.into()),
            "FROM" => self.from = Some(value.to_owned()),
            "CA_FILE" => self.ca_file = Some(value.into()),
            _ => return false,
        }
        true
    }

    pub(super) fn finish(self) -> Result<Option<Mail>, Error> {
        let refused = |key: &str, why: String| Error::Value { key: format!("mail.{key}"), why };
        let Self { server, password_file, from, ca_file } = self;
        let Some(server) = server else {
            let alone = from.is_some() || password_file.is_some() || ca_file.is_some();
            return if alone { Err(refused("server", "is missing: [mail] needs it".into())) } else { Ok(None) };
        };
        let server: MailServer = server.parse().map_err(|why: NotAMailServer| refused("server", why.to_string()))?;
        let from = from.ok_or_else(|| refused("from", "is missing: mail is from somebody".into()))?;
        if server.user.is_some() != password_file.is_some() {
            return Err(refused("password_file", "comes together with a user in mail.server".into()));
        }
        Ok(Some(Mail { server, password_file, from, ca_file }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_spoken_to_in_secret_unless_it_is_this_machine() {
        use MailSecurity::{Plain, StartTls, Wrapped};
        for (text, host, port, security, user) in [
            ("smtps://ops@mail.example.com", "mail.example.com", 465, Wrapped, Some("ops")),
            ("smtps://ops%40example.com@mail.example.com:4650", "mail.example.com", 4650, Wrapped, Some("ops@example.com")),
            ("smtps://ops@example.com@mail.example.com/", "mail.example.com", 465, Wrapped, Some("ops@example.com")),
            ("smtp://mail.example.com", "mail.example.com", 587, StartTls, None),
            ("smtp://mail.example.com:25?starttls", "mail.example.com", 25, StartTls, None),
            ("smtp://localhost", "localhost", 25, Plain, None),
            ("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Plain, None),
            ("smtp://[::1]:2525", "::1", 2525, Plain, None),
            ("smtp://localhost?starttls", "localhost", 587, StartTls, None),
        ] {
            let expected = MailServer { host: host.into(), port, security, user: user.map(str::to_owned) };
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for odd in [
            "",
            "mail.example.com",
            "imap://mail.example.com",
            "smtps://mail.example.com?starttls",
            "smtp://mail.example.com?plain",
            "smtp://",
            "smtps://mail.example.com:0",
            "smtps://mail.example.com:x",
            "smtps://a b@mail.example.com/x",
            "smtps://%zz@mail.example.com",
            "smtps://a%0d@mail.example.com",
            "smtp://[mail]:25",
        ] {
            assert_eq!(odd.parse::<MailServer>(), Err(NotAMailServer::Form), "{odd}");
        }
        assert_eq!("smtps://ops:hunter2@mail.example.com".parse::<MailServer>(), Err(NotAMailServer::Password));
    }

    #[test]
    fn a_refusal_names_the_key() {
        let refused = |pairs: &[(&str, &str)]| {
            let mut file = MailFile::default();
            assert!(pairs.iter().all(|(key, value)| file.set(key, value)));
            file.finish().unwrap_err().to_string()
        };
        assert!(refused(&[("FROM", "phoneops@example.com")]).starts_with("mail.server: "));
        assert!(refused(&[("SERVER", "mail")]).starts_with("mail.server: expected smtps://"));
        assert!(refused(&[("SERVER", "smtps://mail.example.com")]).starts_with("mail.from: "));
        let both = [("SERVER", "smtps://ops@mail.example.com"), ("FROM", "phoneops@example.com")];
        assert!(refused(&both).starts_with("mail.password_file: "));
        assert!(!MailFile::default().set("PASSWORD", "hunter2"));
        assert_eq!(MailFile::default().finish().unwrap(), None);
    }
}
