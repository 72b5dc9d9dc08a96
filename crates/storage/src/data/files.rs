//! Rows as files: what a snapshot consists of.

use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rocksdb::{Options, SstFileWriter};

use crate::Error;
use crate::rocks::Visited;

/// Exported rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFiles {
    /// SST files with neighbouring key ranges, in key order; none for an empty store.
    pub files: Vec<PathBuf>,
}

/// Writes the rows that `scan` visits, in key order, into files of about `file_bytes` below `dir`, and syncs
/// files and folder. What was in `dir` is removed first.
pub(super) fn write(
    dir: &Path,
    options: &Options,
    file_bytes: u64,
    scan: impl FnOnce(&mut dyn FnMut(&[u8], &[u8]) -> Visited) -> Result<(), Error>,
) -> Result<SnapshotFiles, Error> {
    empty(dir).map_err(Error::io("emptying the folder of a snapshot"))?;
    let mut files = Vec::new();
    let mut open: Option<SstFileWriter<'_>> = None;
    scan(&mut |key, value| {
        let writer = match &mut open {
            Some(writer) => writer,
            None => {
                let file = dir.join(format!("{:06}.sst", files.len()));
                let writer = SstFileWriter::create(options);
                writer.open(&file).map_err(rocks_error)?;
                files.push(file);
                open.insert(writer)
            }
        };
        writer.put(key, value).map_err(rocks_error)?;
        if writer.file_size() >= file_bytes {
            finish(open.take())?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    finish(open)?;
    sync(dir, &files).map_err(Error::io("syncing a snapshot"))?;
    Ok(SnapshotFiles { files })
}

fn finish(writer: Option<SstFileWriter<'_>>) -> Result<(), Error> {
    match writer {
        Some(mut writer) => writer.finish().map_err(rocks_error),
        None => Ok(()),
    }
}

fn rocks_error(error: rocksdb::Error) -> Error {
    Error::rocks("writing a snapshot")(error)
}

fn empty(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => fs::create_dir_all(dir),
    }
}

/// The parent too: a folder that was just made is an entry there.
fn sync(dir: &Path, files: &[PathBuf]) -> std::io::Result<()> {
    let folders = [Some(dir), dir.parent()].into_iter().flatten();
    for path in files.iter().map(PathBuf::as_path).chain(folders) {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()?;
    }
    Ok(())
}
