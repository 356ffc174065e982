//! Named points at which a test can kill the process, to see what survives.
//!
//! A point is named after what has just happened. `PHONEOPS_CRASH_AT=name:n` raises SIGKILL in this process at the n-th time
//! `crash_point!("name")` is passed; `PHONEOPS_CRASH_LOG=file` writes the name of each point that is passed to the file, a line each.
//! Release builds hold none of this.

/// Dies here when a test asked for it.
#[macro_export]
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(debug_assertions)]
        $crate::crash::reach($name);
    };
}

/// What [`crash_point!`](crate::crash_point) calls.
#[cfg(debug_assertions)]
pub fn reach(name: &'static str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};

    static ASKED: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();
    let asked = ASKED.get_or_init(|| {
        let text = std::env::var("PHONEOPS_CRASH_AT").ok()?;
        let (name, count) = text.rsplit_once(':')?;
        Some((name.to_owned(), AtomicI64::new(count.parse().ok()?)))
    });
    log(name);
    if let Some((asked, left)) = asked
        && asked == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        // The signal is on its way; nothing after this point may happen.
        loop {
            std::thread::park();
        }
    }
}

/// One write per line, so that lines of several threads do not mix.
#[cfg(debug_assertions)]
fn log(name: &str) {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::OnceLock;

    static LOG: OnceLock<Option<File>> = OnceLock::new();
    let log = LOG.get_or_init(|| {
        let path = std::env::var_os("PHONEOPS_CRASH_LOG")?;
        Some(File::options().create(true).append(true).open(path).expect("PHONEOPS_CRASH_LOG can be written"))
    });
    if let Some(mut log) = log.as_ref() {
        log.write_all(format!("{name}\n").as_bytes()).expect("PHONEOPS_CRASH_LOG can be written");
    }
}
