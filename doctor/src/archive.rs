//! Reads one file of a zip, e.g. the manifest of an app package for Teams. A person can have made the zip
//! with any tool, so the file can be compressed.

use anyhow::{Context, bail, ensure};

/// The maximum size of a compressed file after unpacking. A manifest has some kilobytes.
const LARGEST_BYTES: usize = 4 * 1024 * 1024;

/// Returns the content of a file in the root folder of the zip.
pub(crate) fn file(zip: &[u8], wanted: &str) -> anyhow::Result<Vec<u8>> {
    const END: &[u8] = b"PK\x05\x06";
    let end = zip.windows(4).rposition(|window| window == END);
    let end = end.context("expected a zip; give the zip that cargo dev teams writes")?;
    let count = two_bytes(zip, end + 10)?;
    let mut at = four_bytes(zip, end + 16)?;
    for _ in 0..count {
        ensure!(slice(zip, at, 4)? == b"PK\x01\x02", "the zip is broken; make the package again");
        let method = two_bytes(zip, at + 10)?;
        let size = four_bytes(zip, at + 20)?;
        let (name, extra, comment) =
            (two_bytes(zip, at + 28)?, two_bytes(zip, at + 30)?, two_bytes(zip, at + 32)?);
        if slice(zip, at + 46, name)? != wanted.as_bytes() {
            at += 46 + name + extra + comment;
            continue;
        }
        let local = four_bytes(zip, at + 42)?;
        let start = local + 30 + two_bytes(zip, local + 26)? + two_bytes(zip, local + 28)?;
        let stored = slice(zip, start, size)?;
        return match method {
            0 => Ok(stored.to_vec()),
            8 => miniz_oxide::inflate::decompress_to_vec_with_limit(stored, LARGEST_BYTES)
                .map_err(|_| anyhow::anyhow!("{wanted} in the zip is broken; make the zip again")),
            _ => bail!("{wanted} is compressed in an unusual way; make the zip again"),
        };
    }
    bail!("the zip has no {wanted} in its root; zip the files, not their folder")
}

fn slice(zip: &[u8], at: usize, length: usize) -> anyhow::Result<&[u8]> {
    let end = at.checked_add(length);
    end.and_then(|end| zip.get(at..end)).context("the zip is broken; make the package again")
}

/// Reads a number of two bytes.
fn two_bytes(zip: &[u8], at: usize) -> anyhow::Result<usize> {
    Ok(slice(zip, at, 2)?.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// Reads a number of four bytes.
fn four_bytes(zip: &[u8], at: usize) -> anyhow::Result<usize> {
    Ok(slice(zip, at, 4)?.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use dev::teams_package::{App, Icons, MANIFEST};

    use super::*;

    #[test]
    fn manifest_of_a_package_is_read_and_a_broken_zip_is_an_error() {
        let app = App::new("11111111-2222-3333-4444-555555555555", "https://bot.example.com");
        let zip = app.package(&Icons::of_project().unwrap()).unwrap();
        let manifest = file(&zip, MANIFEST).unwrap();
        assert!(manifest.starts_with(b"{"));
        for end in [0, 10, zip.len() - 30] {
            assert!(file(&zip[..end], MANIFEST).is_err(), "{end}");
        }
        assert!(file(&zip, "other.json").unwrap_err().to_string().contains("no other.json"));
    }

    #[test]
    fn compressed_file_is_unpacked() {
        let packed = miniz_oxide::deflate::compress_to_vec(b"{}", 6);
        let size = u8::try_from(packed.len()).unwrap();
        let mut zip = [&b"PK\x03\x04"[..], &[0; 22], &[1, 0, 0, 0], b"m", &packed].concat();
        let start = u8::try_from(zip.len()).unwrap();
        zip.extend(b"PK\x01\x02\0\0\0\0\0\0\x08\0");
        zip.extend([0; 8]);
        zip.extend([size, 0, 0, 0, 2, 0, 0, 0, 1, 0]);
        zip.extend([0; 16]);
        zip.extend(b"m");
        zip.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0\0\0\0\0");
        zip.extend([start, 0, 0, 0, 0, 0]);
        assert_eq!(file(&zip, "m").unwrap(), b"{}");
    }
}
