//! Files of every kind that a path can lead to.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, (ErrorKind, String)> {
    ksdsl_files::read(path, limit).map_err(|error| (error.kind(), error.to_string()))
}

#[test]
fn a_file_is_read_up_to_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"12345").unwrap();
    assert_eq!(read(&path, 5).unwrap(), b"12345");
    assert_eq!(read(&path, u64::MAX).unwrap(), b"12345");
    let (kind, message) = read(&path, 4).unwrap_err();
    assert_eq!(kind, ErrorKind::FileTooLarge);
    assert_eq!(message, "it is larger than 4 bytes, the limit for this kind of file");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(read(&path, 0).unwrap(), b"");
}

/// A file with a hole of 2^43 bytes takes no space on the disk, and must take none in memory.
#[test]
fn of_a_longer_file_nothing_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hole");
    let file = File::create(&path).unwrap();
    // Not every file system has files so long.
    if file.set_len(1 << 43).is_ok() {
        assert_eq!(read(&path, 1 << 30).unwrap_err().0, ErrorKind::FileTooLarge);
    }
}

#[test]
fn a_folder_and_what_is_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (kind, message) = read(folder.path(), 100).unwrap_err();
    assert_eq!(
        (kind, message.as_str()),
        (ErrorKind::IsADirectory, "it is a directory; expected a file")
    );
    assert_eq!(
        read(&folder.path().join("nothing"), 100).unwrap_err().0,
        ErrorKind::NotFound
    );
}

#[cfg(unix)]
#[test]
fn devices_pipes_and_sockets_are_refused_also_by_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    for path in [Path::new("/dev/zero"), &link] {
        let (kind, message) = read(path, 100).unwrap_err();
        assert_eq!(
            (kind, message.as_str()),
            (ErrorKind::InvalidInput, "it is a device; expected a file")
        );
    }
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    assert_eq!(read(&pipe, 100).unwrap_err().1, "it is a named pipe; expected a file");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    assert_eq!(read(&socket, 100).unwrap_err().1, "it is a socket; expected a file");
}

/// As a shell's `<(command)` gives it: a pipe that is open already.
#[cfg(target_os = "linux")]
#[test]
fn an_open_pipe_is_read_up_to_the_limit() {
    use std::os::fd::AsRawFd as _;
    let filled = |bytes: &[u8]| -> io::Result<io::PipeReader> {
        let (reader, mut writer) = io::pipe()?;
        writer.write_all(bytes)?;
        Ok(reader)
    };
    let path = |pipe: &io::PipeReader| format!("/dev/fd/{}", pipe.as_raw_fd());
    let pipe = filled(b"12345").unwrap();
    assert_eq!(read(Path::new(&path(&pipe)), 5).unwrap(), b"12345");
    let pipe = filled(b"12345").unwrap();
    assert_eq!(read(Path::new(&path(&pipe)), 4).unwrap_err().0, ErrorKind::FileTooLarge);
}
