//! The log file: appended to, opened anew on SIGHUP, one line per event whatever is in it.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use tracing_subscriber::fmt::MakeWriter;

/// A file that can be opened anew while others write.
#[derive(Clone, Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    // Written from every thread; replaced on SIGHUP alone. Each event is one write, so appends do not mix.
    file: Arc<RwLock<File>>,
}

impl LogFile {
    /// Opens the file for appending, with its directory. Only its owner and group can read it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(RwLock::new(open(path)?)),
        })
    }

    /// Goes on in a new file of the same name. On an error the old one stays in use.
    pub(super) fn reopen(&self) -> io::Result<()> {
        let file = open(&self.path)?;
        *self.file.write().unwrap_or_else(PoisonError::into_inner) = file;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

impl MakeWriter<'_> for LogFile {
    type Writer = OneLine<FileWriter>;

    fn make_writer(&self) -> Self::Writer {
        OneLine(FileWriter(Arc::clone(&self.file)))
    }
}

pub(super) struct FileWriter(Arc<RwLock<File>>);

impl Write for FileWriter {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        (&*self.0.read().unwrap_or_else(PoisonError::into_inner)).write(event)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Standard error, one line per event.
pub(super) fn stderr() -> OneLine<io::Stderr> {
    OneLine(io::stderr())
}

/// Replaces line breaks inside an event, so that no name from outside can forge a line of the log.
///
/// The formatter hands over each event in one call.
pub(super) struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(&one_line(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let (body, end) = match event.strip_suffix(b"\n") {
        Some(body) => (body, &b"\n"[..]),
        None => (event, &b""[..]),
    };
    if !body.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
        return Cow::Borrowed(event);
    }
    let mut line: Vec<u8> = body
        .iter()
        .map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte })
        .collect();
    line.extend_from_slice(end);
    Cow::Owned(line)
}
