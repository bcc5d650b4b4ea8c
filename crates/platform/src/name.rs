//! Names made of other people's ids: those are long, and hold what no key may.

use sha2::{Digest, Sha256};

/// The hash of these parts, as 32 hexadecimal digits: a portable part of a key-value key, and the same for ever.
pub fn name_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        // The length keeps ("ab", "c") and ("a", "bc") apart.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hex(&hash.finalize()[..16])
}

/// Bytes in hexadecimal, lower case.
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
    fn it_depends_on_every_part_and_on_where_parts_end() {
        let name = name_of(&["msteams", "a:1", "7"]);
        assert_eq!(name, "cfdf20fbafbe61afda4ec86c8928030f", "names are stored: they must never change");
        for other in [&["msteam", "sa:1", "7"], &["msteams", "a:17", ""], &["msteams", "a:1", "8"]] {
            assert_ne!(name, name_of(other), "{other:?}");
        }
        assert_ne!(name_of(&["a"]), name_of(&["a", ""]));
    }
}
