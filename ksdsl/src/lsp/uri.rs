//! Paths as URIs of files, and back (RFC 8089).

use lsp_types::Uri;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

/// The path of a file's URI; none for other URIs, such as those of texts that were never saved.
pub(super) fn path(uri: &Uri) -> Option<PathBuf> {
    let rest = uri.as_str().strip_prefix("file://")?;
    let (host, path) = rest.split_at(rest.find('/')?);
    if !host.is_empty() && host != "localhost" {
        return None;
    }
    let path = String::from_utf8(decoded(path)).ok()?;
    // `/C:/folder` on Windows.
    let drive = path
        .strip_prefix('/')
        .filter(|rest| rest.as_bytes().get(1) == Some(&b':'));
    Some(PathBuf::from(drive.filter(|_| cfg!(windows)).unwrap_or(&path)))
}

/// The URI of a file.
pub(super) fn of(path: &Path) -> Option<Uri> {
    let path = clean(path);
    let path = path.to_str()?.replace('\\', "/");
    let root = if path.starts_with('/') { "" } else { "/" };
    Uri::from_str(&format!("file://{root}{}", encoded(&path))).ok()
}

/// An absolute path without `.` and `..`.
pub(super) fn clean(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean
}

fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escaped.filter(|_| byte == b'%') {
            Some(value) => decoded.push(value),
            None => decoded.push(byte),
        }
        at += if byte == b'%' && escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

fn encoded(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{of, path};
    use lsp_types::Uri;
    use std::path::Path;
    use std::str::FromStr;

    #[cfg(unix)]
    #[test]
    fn paths_survive_the_way_there_and_back() {
        for text in ["/a/b.ksn", "/mit leer/größe%.ksn", "/a+b/#1?.ksn"] {
            let uri = of(Path::new(text)).unwrap();
            assert_eq!(path(&uri).unwrap(), Path::new(text), "{}", uri.as_str());
        }
        assert_eq!(
            of(Path::new("/a/../b/./c d.ksn")).unwrap().as_str(),
            "file:///b/c%20d.ksn"
        );
    }

    #[test]
    fn texts_that_are_in_no_file_have_no_path() {
        for text in ["untitled:Untitled-1", "http://a/b.ksn", "file://server/b.ksn"] {
            assert_eq!(path(&Uri::from_str(text).unwrap()), None, "{text}");
        }
    }
}
