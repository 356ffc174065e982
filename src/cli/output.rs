//! Where commands write, so that tests can read it and a closed pipe hurts nobody.
//!
//! **Invariants**
//! - A reader that went away (`| head`) is no error; a full disk is one, told at the end by [`Out::lost`].
//! - Progress is shown on a terminal only, and leaves nothing behind.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write};

use serde_json::Value;

/// What a command writes to.
pub struct Out {
    stdout: Sink,
    stderr: Sink,
    /// Whether a progress line stands on the terminal.
    progress: bool,
}

/// One stream.
struct Sink {
    to: Box<dyn Write + Send>,
    terminal: bool,
    error: Option<io::Error>,
}

impl Sink {
    fn new(to: impl Write + Send + 'static, terminal: bool) -> Self {
        Self { to: Box::new(to), terminal, error: None }
    }

    fn write(&mut self, text: &str) {
        if self.error.is_none() {
            self.error = self.to.write_all(text.as_bytes()).and_then(|()| self.to.flush()).err();
        }
    }
}

impl Out {
    /// The process's own stdout and stderr.
    #[must_use]
    pub fn system() -> Self {
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let terminals = (stdout.is_terminal(), stderr.is_terminal());
        Self { stdout: Sink::new(stdout, terminals.0), stderr: Sink::new(stderr, terminals.1), progress: false }
    }

    /// Writes a line to stdout.
    pub fn line(&mut self, text: impl Display) {
        self.clear_progress();
        self.stdout.write(&format!("{text}\n"));
    }

    /// Writes lines to stdout.
    pub fn lines(&mut self, lines: impl IntoIterator<Item: Display>) {
        for line in lines {
            self.line(line);
        }
    }

    /// Writes JSON to stdout.
    pub fn json(&mut self, value: &Value) {
        self.line(format_args!("{value:#}"));
    }

    /// Writes a line to stderr: for people, not for programs.
    pub fn note(&mut self, text: impl Display) {
        self.clear_progress();
        self.stderr.write(&format!("{text}\n"));
    }

    /// Shows how it goes, over what was shown before; nothing when stderr is no terminal.
    pub fn progress(&mut self, text: impl Display) {
        if self.stderr.terminal {
            self.progress = true;
            self.stderr.write(&format!("\r\x1b[K{text}"));
        }
    }

    /// Takes the progress line away.
    pub fn clear_progress(&mut self) {
        if std::mem::take(&mut self.progress) {
            self.stderr.write("\r\x1b[K");
        }
    }

    /// Whether stdout is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.stdout.terminal
    }

    /// Whether nobody reads stdout any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.stdout.error.is_some()
    }

    /// Why stdout did not take what it was given; none when its reader just went away.
    #[must_use]
    pub fn lost(&mut self) -> Option<io::Error> {
        self.stdout.error.take().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(in crate::cli) struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        pub(in crate::cli) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An [`Out`] on paper: stdout and stderr.
    pub(in crate::cli) fn on_paper(terminal: bool) -> (Out, Paper, Paper) {
        let (stdout, stderr) = (Paper::default(), Paper::default());
        let out =
            Out { stdout: Sink::new(stdout.clone(), terminal), stderr: Sink::new(stderr.clone(), terminal), progress: false };
        (out, stdout, stderr)
    }

    /// Refuses everything.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_went_away_is_quiet_and_a_full_disk_is_not() {
        for (kind, lost) in [(io::ErrorKind::BrokenPipe, false), (io::ErrorKind::StorageFull, true)] {
            let (mut out, _, stderr) = on_paper(false);
            out.stdout = Sink::new(Broken(kind), false);
            out.line("P7K3M2X");
            assert!(out.is_closed());
            out.line("more");
            assert_eq!(out.lost().is_some(), lost, "{kind}");
            assert_eq!(stderr.text(), "");
        }
    }

    #[test]
    fn progress_is_for_terminals_and_leaves_nothing_behind() {
        let (mut out, stdout, stderr) = on_paper(false);
        out.progress("4:59");
        out.line("approved");
        assert_eq!((stdout.text().as_str(), stderr.text().as_str()), ("approved\n", ""));

        let (mut out, stdout, stderr) = on_paper(true);
        out.progress("4:59");
        out.progress("4:58");
        out.line("approved");
        out.line("done");
        assert_eq!(stdout.text(), "approved\ndone\n");
        assert_eq!(stderr.text(), "\r\x1b[K4:59\r\x1b[K4:58\r\x1b[K");
    }
}
