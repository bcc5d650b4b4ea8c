//! Makes a zip of a few small files. The zip does not compress the files, and gives each file the same fixed
//! time.
//!
//! Source: <https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT>, sections 4.3.7, 4.3.12 and 4.3.16.

use anyhow::Context;

/// The time of day of every file in the zip, as DOS encodes it: 0:00.
const TIME: u16 = 0;
/// The date of every file in the zip, as DOS encodes it: 1980-01-01, the earliest date that the format can
/// hold.
const DATE: u16 = 1 << 5 | 1;
/// Ten times the version of the format that a reader needs. The version is 1.0, because the zip compresses
/// nothing.
const VERSION: u16 = 10;

/// Makes a zip with these files, in this order.
pub(super) fn uncompressed(files: &[(&str, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut zip = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = u32::try_from(zip.len()).context("the zip is too large")?;
        let size = u32::try_from(content.len()).with_context(|| format!("{name} is too large"))?;
        let mut common = Vec::new();
        // The version, the flags, the method (0: not compressed), the time, the date.
        common.extend([VERSION, 0, 0, TIME, DATE].map(u16::to_le_bytes).concat());
        common.extend([crc32(content), size, size].map(u32::to_le_bytes).concat());
        common.extend(u16::try_from(name.len())?.to_le_bytes());
        // The length of the extra field: zero.
        common.extend(0_u16.to_le_bytes());

        zip.extend(b"PK\x03\x04");
        zip.extend(&common);
        zip.extend(name.as_bytes());
        zip.extend(*content);

        directory.extend(b"PK\x01\x02");
        directory.extend(VERSION.to_le_bytes());
        directory.extend(&common);
        // The length of the comment, the number of the disk, and the attributes: all zero.
        directory.extend([0; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let count = u16::try_from(files.len())?;
    let start = u32::try_from(zip.len())?;
    let size = u32::try_from(directory.len())?;
    zip.extend(directory);
    zip.extend(b"PK\x05\x06");
    zip.extend([0, 0, count, count].map(u16::to_le_bytes).concat());
    zip.extend([size, start].map(u32::to_le_bytes).concat());
    zip.extend(0_u16.to_le_bytes());
    Ok(zip)
}

/// The checksum CRC-32, in the variant of zip and PNG.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_equals_the_published_values() {
        for (text, expected) in [("", 0), ("123456789", 0xcbf4_3926), ("a", 0xe8b7_be43)] {
            assert_eq!(crc32(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn zip_of_one_file_has_the_bytes_of_the_format() {
        let zip = uncompressed(&[("a", b"hi")]).unwrap();
        let expected = [
            &b"PK\x03\x04\x0a\0\0\0\0\0\0\0\x21\0\xac\x2a\x93\xd8\x02\0\0\0\x02\0\0\0\x01\0\0\0ahi"[..],
            b"PK\x01\x02\x0a\0\x0a\0\0\0\0\0\0\0\x21\0\xac\x2a\x93\xd8\x02\0\0\0\x02\0\0\0\x01\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0a",
            b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x21\0\0\0\0\0",
        ]
        .concat();
        assert_eq!(zip, expected);
    }
}
