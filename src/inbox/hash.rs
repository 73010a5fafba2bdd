//! The content of a file, in 32 bytes.

use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::candidates::{ContentHash, Stamp};
use crate::durable;
use crate::pulse;

const BUFFER_BYTES: usize = 64 * 1024;

/// Reads a regular file and hashes it; with the state that it had when it was opened. Links are never followed.
/// Blocks.
///
/// # Errors
/// What opening or reading says.
pub fn hash_file(path: &Path) -> io::Result<(Stamp, ContentHash)> {
    let mut file = durable::open_regular(path)?;
    let stamp = Stamp::of(&file.metadata()?);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                pulse::step();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok((stamp, ContentHash(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_hash_is_the_sha_256_of_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let (stamp, hash) = hash_file(&path).unwrap();
        assert_eq!(stamp.size, 3);
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
