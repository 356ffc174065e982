//! How a command reaches a server: as the operator through its Unix socket, as a bot with a token, or as nobody.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use clap::Args;
use url::Url;

use super::{Failure, login};
use crate::client::Client;
use crate::config::Config;
use crate::secret::Secret;
use crate::server::SOCKET;

/// Taken from the working directory when no other is named.
const CONFIG_FILE: &str = "phoneops.toml";

/// Where the configuration is.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct ConfigFile {
    /// The configuration file [default: phoneops.toml in the working directory, when it is there]
    #[arg(long, env = "PHONEOPS_CONFIG", hide_env_values = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file, when there is one.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let default = || Some(PathBuf::from(CONFIG_FILE)).filter(|file| file.exists());
        self.config.clone().or_else(default)
    }

    /// The configuration from the file and the environment.
    pub(super) fn load(&self) -> Result<Config, Failure> {
        Ok(Config::load(self.path().as_deref(), settings(std::env::vars_os())?)?)
    }
}

/// The variables that are ours. Others may hold anything, even what is not text.
fn settings(variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Failure> {
    let ours = variables.filter_map(|(name, value)| name.into_string().ok().map(|name| (name, value)));
    ours.filter(|(name, _)| name.starts_with("PHONEOPS_"))
        .map(|(name, value)| match value.into_string() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(Failure::Usage(format!("{name}: must be UTF-8"))),
        })
        .collect()
}

/// For commands that administer, on the server's own machine.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct Operator {
    /// The server's data directory [default: the configuration's]
    #[arg(long, env = "PHONEOPS_DATA_DIR", hide_env_values = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigFile,
}

impl Operator {
    /// A client of the server that runs there.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let data_dir = match &self.data_dir {
            Some(data_dir) => data_dir.clone(),
            None => self.config.load()?.data_dir,
        };
        match local(&data_dir) {
            // On another machine than the server's, the person who is signed in administers, as far as they may.
            Err(Failure::NoServer(folder)) if self.data_dir.is_none() && self.config.path().is_none() => match login::kept()? {
                Some(login) => login::client(&login),
                None => Err(Failure::NoServer(folder)),
            },
            reached => reached,
        }
    }
}

/// A client of the server in `data_dir`, once something listens there.
pub(super) fn local(data_dir: &Path) -> Result<Client, Failure> {
    let socket = data_dir.join(SOCKET);
    match UnixStream::connect(&socket) {
        Ok(_) => Ok(Client::local(&socket)?),
        Err(error) => Err(match error.kind() {
            // A server that was killed leaves its socket behind, which then refuses.
            ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::NotADirectory => {
                Failure::NoServer(data_dir.to_owned())
            }
            ErrorKind::PermissionDenied => Failure::SocketForbidden(socket),
            _ => Failure::File { path: socket, source: error },
        }),
    }
}

/// Where a server listens that nobody has configured.
const DEFAULT_SERVER: &str = "http://localhost:8080";

/// Which server.
#[derive(Clone, Debug, Args)]
pub(super) struct At {
    /// The server's address
    #[arg(
        long,
        env = "PHONEOPS_SERVER",
        hide_env_values = true,
        value_name = "URL",
        default_value = DEFAULT_SERVER,
        value_parser = server
    )]
    server: String,
}

fn server(text: &str) -> Result<String, String> {
    let web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if web { Ok(text.to_owned()) } else { Err("expected an address like https://phoneops.example".into()) }
}

impl At {
    /// A client without credentials.
    pub(super) fn anonymous(&self) -> Result<Client, Failure> {
        Ok(Client::anonymous(&self.server)?)
    }

    /// A client as the bot of the environment, or else as the person who is signed in here.
    pub(super) fn somebody(&self) -> Result<Client, Failure> {
        match login::kept()? {
            Some(login) if !has_token() => {
                let named = self.server.trim_end_matches('/');
                if named != DEFAULT_SERVER && named != login.issuer {
                    return Err(Failure::Usage(format!(
                        "signed in at {}, not at {named}: `phoneops logout` first",
                        login.issuer
                    )));
                }
                login::client(&login)
            }
            _ => self.bot(),
        }
    }

    /// A client with the token of the environment.
    pub(super) fn bot(&self) -> Result<Client, Failure> {
        let token = token(std::env::var_os("PHONEOPS_TOKEN"), std::env::var_os("PHONEOPS_TOKEN_FILE"))?;
        Ok(Client::bot(&self.server, token)?)
    }
}

/// For commands that only look: as the bot of the environment, or else as the operator or the person who is signed in.
#[derive(Clone, Debug, Args)]
pub(super) struct Anybody {
    #[command(flatten)]
    at: At,
    #[command(flatten)]
    operator: Operator,
}

impl Anybody {
    /// A client.
    pub(super) fn connect(&self) -> Result<Client, Failure> {
        if has_token() { self.at.bot() } else { self.operator.connect() }
    }
}

/// Whether the environment says which bot calls.
pub(super) fn has_token() -> bool {
    ["PHONEOPS_TOKEN", "PHONEOPS_TOKEN_FILE"]
        .into_iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The token itself, or the one in the file.
fn token(text: Option<OsString>, file: Option<OsString>) -> Result<Secret, Failure> {
    // A secret that a CI system does not have arrives as an empty variable.
    let given = |value: &OsString| !value.is_empty();
    let text = match (text.filter(given), file.filter(given)) {
        (Some(text), _) => text.into_string().unwrap_or_default(),
        (None, Some(file)) => {
            let path = PathBuf::from(file);
            std::fs::read_to_string(&path).map_err(|source| Failure::File { path, source })?
        }
        (None, None) => {
            let why = "no bot token: set PHONEOPS_TOKEN or PHONEOPS_TOKEN_FILE (`phoneops bot add` makes one)";
            return Err(Failure::Usage(why.into()));
        }
    };
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::Usage("the bot token is not one: it looks like pob_ and 43 letters and digits".into()));
    }
    Ok(Secret::new(token.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn a_token_comes_from_the_variable_or_the_file_and_is_asked_for_when_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "pob_file\n").unwrap();
        let file = || Some(path.clone().into_os_string());
        let read = |text: Option<&str>, file| token(text.map(OsString::from), file);
        assert_eq!(read(Some("pob_text"), file()).unwrap().expose(), "pob_text");
        assert_eq!(read(Some(""), file()).unwrap().expose(), "pob_file");
        for (text, named) in [(None, "PHONEOPS_TOKEN_FILE"), (Some(""), "PHONEOPS_TOKEN"), (Some("pob_a b"), "bot token")] {
            let failure = read(text, None).unwrap_err();
            assert!(matches!(&failure, Failure::Usage(why) if why.contains(named)), "{failure}");
            assert!(!failure.to_string().contains("pob_a b"));
        }
        assert!(matches!(read(None, Some("/nowhere/token".into())), Err(Failure::File { .. })));
    }

    #[test]
    fn an_address_is_a_web_address() {
        for good in ["http://localhost:8080", "https://phoneops.example/", "http://[::1]:8080"] {
            assert_eq!(server(good).unwrap(), good);
        }
        for bad in ["localhost:8080", "phoneops.example", "ftp://phoneops.example", ""] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn variables_of_others_may_hold_anything() {
        let odd = || OsString::from_vec(vec![0xff]);
        let read = |name: &str| settings([(OsString::from(name), odd())].into_iter());
        assert!(read("LESSKEY").unwrap().is_empty());
        assert_eq!(read("PHONEOPS_LISTEN").unwrap_err().to_string(), "PHONEOPS_LISTEN: must be UTF-8");
    }

    #[test]
    fn no_server_is_said_so() {
        let dir = tempfile::tempdir().unwrap();
        let said = |data_dir: &Path| local(data_dir).unwrap_err().to_string();
        let none = format!("no server is running in {}: start it with `phoneops serve`", dir.path().display());
        assert_eq!(said(dir.path()), none);
        // What a killed server leaves behind.
        drop(std::os::unix::net::UnixListener::bind(dir.path().join(SOCKET)).unwrap());
        assert_eq!(said(dir.path()), none);
    }
}
