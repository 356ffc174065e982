//! The data directory and the master key: there, readable by us, and by nobody else.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::{Finding, fail, ok, warn};
use crate::config::Config;
use crate::secret::MasterKey;

const DATA_DIR: &str = "data_dir";
const MASTER_KEY: &str = "master key";

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    vec![data_dir(&config.data_dir), master_key(config)]
}

fn data_dir(path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            warn(DATA_DIR, format!("{shown} is not there yet; the first `phoneops serve` makes it"))
        }
        Err(error) => fail(DATA_DIR, format!("{shown}: {error}")),
        Ok(found) if !found.is_dir() => fail(DATA_DIR, format!("{shown} is not a directory")),
        Ok(found) => match open_to_others(&found) {
            None => ok(DATA_DIR, format!("{shown} is yours alone")),
            Some(mode) => {
                let why = "others can read the database in it";
                fail(DATA_DIR, format!("{shown} has mode {mode:04o}, so {why}: chmod 700 {shown}"))
            }
        },
    }
}

/// The mode, when it lets group or others in.
fn open_to_others(found: &std::fs::Metadata) -> Option<u32> {
    let mode = found.permissions().mode() & 0o7777;
    (mode & 0o077 != 0).then_some(mode)
}

fn master_key(config: &Config) -> Finding {
    let path = config.master_key_file.clone().unwrap_or_else(|| config.data_dir.join("master.key"));
    let shown = path.display();
    let found = match std::fs::metadata(&path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return missing(config, &path),
        Err(error) => return fail(MASTER_KEY, format!("{shown}: {error}")),
    };
    if let Some(mode) = open_to_others(&found) {
        let why = "others can read the key to everything that is sealed";
        return fail(MASTER_KEY, format!("{shown} has mode {mode:04o}, so {why}: chmod 600 {shown}"));
    }
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Err(error) => fail(MASTER_KEY, format!("{shown}: {error}")),
        Ok(text) if MasterKey::parse(&text).is_none() => {
            fail(MASTER_KEY, format!("{shown} does not hold one: 43 characters of base64url are expected"))
        }
        Ok(_) => ok(MASTER_KEY, format!("{shown} is yours alone; keep a copy of it apart from the database's")),
    }
}

/// No key: fine before the first start, a disaster after it.
fn missing(config: &Config, path: &Path) -> Finding {
    let shown = path.display();
    if config.master_key_file.is_some() {
        return fail(MASTER_KEY, format!("{shown} is not there: correct master_key_file, or put the key there"));
    }
    if super::house::sqlite(config).exists() {
        let why = "a new one would open nothing in the database that is";
        return fail(MASTER_KEY, format!("{shown} is not there, and {why}: restore it from a copy"));
    }
    warn(MASTER_KEY, format!("{shown} is not there yet; the first `phoneops serve` makes it"))
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions, write};

    use super::super::Level;
    use super::*;

    fn config(data_dir: &Path) -> Config {
        let variables = [("PHONEOPS_DATA_DIR".to_owned(), data_dir.to_str().unwrap().to_owned())];
        Config::load(None, variables).unwrap()
    }

    fn chmod(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_data_directory_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        assert_eq!(data_dir(&path).level, Level::Warn);
        create_dir(&path).unwrap();
        chmod(&path, 0o755);
        let found = data_dir(&path);
        assert_eq!(found.level, Level::Fail);
        assert!(found.why.contains("mode 0755") && found.why.contains("chmod 700"), "{}", found.why);
        chmod(&path, 0o700);
        assert_eq!(data_dir(&path).level, Level::Ok);
        write(path.join("file"), "").unwrap();
        assert_eq!(data_dir(&path.join("file")).level, Level::Fail);
    }

    #[test]
    fn a_master_key_is_private_whole_and_there_when_it_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let (mut config, path) = (config(dir.path()), dir.path().join("master.key"));
        assert_eq!(master_key(&config).level, Level::Warn);
        write(dir.path().join("phoneops.sqlite"), "").unwrap();
        let lost = master_key(&config);
        assert!(lost.level == Level::Fail && lost.why.contains("restore it"), "{lost:?}");

        write(&path, format!("{}\n", &*MasterKey::generate().to_text())).unwrap();
        chmod(&path, 0o640);
        let shared = master_key(&config);
        assert!(shared.level == Level::Fail && shared.why.contains("chmod 600"), "{shared:?}");
        chmod(&path, 0o600);
        assert_eq!(master_key(&config).level, Level::Ok);
        write(&path, "hunter2").unwrap();
        let broken = master_key(&config);
        assert!(broken.level == Level::Fail && !broken.why.contains("hunter2"), "{broken:?}");

        config.master_key_file = Some(dir.path().join("elsewhere"));
        assert!(master_key(&config).why.contains("master_key_file"));
    }
}
