//! Finding the command before anybody is asked, so that nobody approves what cannot be run.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The file that `name` runs: itself when it names a path, and otherwise the first of that name in `PATH`.
pub(super) fn find(name: &OsStr) -> Result<PathBuf, String> {
    let path = Path::new(name);
    let shown = path.display();
    if path.components().count() > 1 || path.has_root() {
        return if is_program(path) { Ok(path.to_owned()) } else { Err(format!("{shown} is no program")) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&folders).map(|folder| folder.join(path)).find(|file| is_program(file));
    found.ok_or_else(|| format!("there is no command {shown}"))
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_as_a_shell_would() {
        assert!(find(OsStr::new("sh")).is_ok_and(|found| found.is_absolute()));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("deploy");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        assert!(find(file.as_os_str()).unwrap_err().contains("is no program"));
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(file.as_os_str()), Ok(file));
        for none in [dir.path().as_os_str(), OsStr::new("no-such-command"), OsStr::new("./no-such"), OsStr::new("")] {
            assert!(find(none).is_err(), "{}", none.display());
        }
    }
}
