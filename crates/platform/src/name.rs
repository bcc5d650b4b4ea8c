//! Makes short names from ids that other services chose. Such an id can be long, and can contain characters
//! that Azure Tables or a key-value store does not accept in a key.

use sha2::{Digest, Sha256};

/// Returns the hash of `parts` as 32 hexadecimal digits. Every key-value store accepts this hash as a part of
/// a key. The function must always return the same hash for the same parts, because stored keys contain
/// hashes.
pub fn name_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // With the length of each part, ("ab", "c") and ("a", "bc") have different hashes.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// Returns the bytes as hexadecimal digits in lower case.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_differs_for_other_parts_and_for_other_boundaries_between_parts() {
        let name = name_of(&["msteams", "a:1", "7"]);
        assert_eq!(name, "cfdf20fbafbe61afda4ec86c8928030f", "names are stored: they must never change");
        for other in [&["msteam", "sa:1", "7"], &["msteams", "a:17", ""], &["msteams", "a:1", "8"]] {
            assert_ne!(name, name_of(other), "{other:?}");
        }
        assert_ne!(name_of(&["a"]), name_of(&["a", ""]));
    }
}
