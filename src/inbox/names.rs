//! What a name alone says: whether it is a file for us, and a network id as part of a name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::types::NetworkId;

/// Names that programs leave while they write, beside what they write, or in every folder they look into.
const IGNORED_NAMES: [&[u8]; 3] = [b"Thumbs.db", b"desktop.ini", b"@eaDir"];
const IGNORED_BEGINNINGS: [&[u8]; 2] = [b".", b"~$"];
const IGNORED_ENDINGS: [&[u8]; 7] =
    [b".tmp", b".part", b".partial", b".filepart", b".crdownload", b".swp", b"~"];
/// Words to imeid, not files for it.
const CONTROL_ENDINGS: [&[u8]; 3] = [b".go", b".go.txt", b".stop"];

/// Whether a file or folder of this name is never taken, and never spoken of: dot files (so `.~lock*` and `.stfolder`
/// too), `~$*`, `Thumbs.db`, `desktop.ini`, `@eaDir`, and what is still being copied or edited by its ending.
/// Capitals don't matter.
#[must_use]
pub fn ignored(name: &OsStr) -> bool {
    let name = name.as_bytes();
    IGNORED_NAMES.iter().any(|whole| name.eq_ignore_ascii_case(whole))
        || IGNORED_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
        || ends_with_any(name, &IGNORED_ENDINGS)
}

/// Whether a file of this name is a word to imeid about another one: `NAME.go`, `NAME.go.txt`, `NAME.stop`.
#[must_use]
pub fn is_control(name: &OsStr) -> bool {
    ends_with_any(name.as_bytes(), &CONTROL_ENDINGS)
}

fn ends_with_any(name: &[u8], endings: &[&[u8]]) -> bool {
    endings.iter().any(|ending| {
        let tail = name.len().checked_sub(ending.len()).and_then(|at| name.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(ending))
    })
}

/// A network id as part of a file name: letters, digits, `-` and `_` as they are, all else as `%XX`.
pub(super) fn encode(network_id: &NetworkId) -> String {
    let mut encoded = String::new();
    for byte in network_id.0.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The network id that [`encode`] wrote so.
pub(super) fn decode(encoded: &str) -> Option<NetworkId> {
    let mut bytes = Vec::new();
    let mut rest = encoded;
    while let Some(first) = rest.chars().next() {
        if first == '%' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = rest.get(3..)?;
        } else {
            bytes.push(u8::try_from(first).ok()?);
            rest = rest.get(1..)?;
        }
    }
    let network_id = NetworkId(String::from_utf8(bytes).ok()?);
    // Only what we wrote: `%41` is no other way to write `A`.
    (encode(&network_id) == encoded).then_some(network_id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_programs_leave_behind_is_ignored() {
        for name in [
            ".hidden",
            ".",
            ".taken",
            ".~lock.stock.csv#",
            ".stfolder",
            "~$stock.csv",
            "Thumbs.db",
            "THUMBS.DB",
            "desktop.ini",
            "@eaDir",
            "a.tmp",
            "a.csv.part",
            "a.PARTIAL",
            "a.filepart",
            "a.crdownload",
            ".a.swp",
            "a.swp",
            "a.csv~",
            "~",
        ] {
            assert!(ignored(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn every_other_name_is_a_file_for_us() {
        for name in [
            "stock.csv",
            "stock",
            "stock.txt",
            "stock.xlsx",
            "tmp",
            "stock.partial.csv",
            "~stock.csv",
            "part",
            "Größe 1.csv",
            "stock.csv.tmp.csv",
            "stock.results.csv",
        ] {
            assert!(!ignored(OsStr::new(name)), "{name}");
        }
        assert!(!ignored(OsStr::from_bytes(b"caf\xe9.csv")));
    }

    #[test]
    fn words_to_imeid_are_told_apart() {
        for (name, control) in [
            ("stock.go", true),
            ("stock.GO.txt", true),
            ("stock.csv.stop", true),
            ("go", false),
            ("a.go.csv", false),
        ] {
            assert_eq!(is_control(OsStr::new(name)), control, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_network_id_makes_a_safe_name_and_is_found_again(text in ".{0,20}") {
            let network_id = NetworkId(text);
            let encoded = encode(&network_id);
            prop_assert!(encoded.chars().all(|c| c.is_ascii_alphanumeric() || "-_%".contains(c)));
            prop_assert_eq!(decode(&encoded), Some(network_id));
        }

        #[test]
        fn decoding_never_panics(text in ".{0,20}") {
            decode(&text);
        }
    }
}
