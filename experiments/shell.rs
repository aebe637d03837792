//! Words as a shell reads them.

use std::env;
use std::path::Path;

/// What a command of this program begins with, as the person has called it: from its sources by
/// `cargo run`, which needs the features again, or where it is installed.
pub fn program() -> &'static str {
    let is_set = |name: &str| env::var_os(name).is_some();
    let of_package = env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == "dni");
    match (of_package && is_set("CARGO"), cfg!(feature = "remote")) {
        (true, false) => "cargo run --",
        (true, true) => "cargo run --features remote --",
        (false, _) => "dni",
    }
}

/// A word as it stands in a command.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-=:,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_string()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A path as it stands in a command that is to work from any folder.
pub fn quoted_path(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    match path.to_str() {
        Some(text) => quoted(text),
        // bash, zsh and others read such bytes by their numbers.
        None => {
            let bytes = path.as_os_str().as_encoded_bytes().iter();
            let numbers: String = bytes.map(|byte| format!("\\x{byte:02x}")).collect();
            format!("$'{numbers}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_spaces_is_quoted() {
        assert_eq!(quoted("runs/a-1.b"), "runs/a-1.b");
        assert_eq!(quoted("it's mine"), r"'it'\''s mine'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn a_path_is_whole_whatever_its_name() {
        assert_eq!(quoted_path(Path::new("/a b")), "'/a b'");
        assert!(quoted_path(Path::new("-runs")).ends_with("/-runs"));
        #[cfg(unix)]
        {
            use std::ffi::OsStr;
            use std::os::unix::ffi::OsStrExt;
            let odd = OsStr::from_bytes(b"/\xff'");
            assert_eq!(quoted_path(Path::new(odd)), r"$'\x2f\xff\x27'");
        }
    }
}
