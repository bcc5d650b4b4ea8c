//! The two icons of an app package for Teams.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::workspace::root;

pub(super) const COLOR: &str = "color.png";
pub(super) const OUTLINE: &str = "outline.png";

/// The icons: a coloured icon, and a white icon on a transparent background (the outline).
#[derive(Debug, Clone)]
pub struct Icons {
    color: Vec<u8>,
    outline: Vec<u8>,
}

impl Icons {
    /// The icons in `deploy/teams`.
    pub fn of_project() -> anyhow::Result<Self> {
        Self::read(&root().join("deploy/teams"))
    }

    /// Reads `color.png` and `outline.png` in a folder.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let read = |name: &str, size: u32, needs_alpha: bool| -> anyhow::Result<Vec<u8>> {
            let path = folder.join(name);
            let icon = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            check(&icon, size, needs_alpha).with_context(|| path.display().to_string())?;
            Ok(icon)
        };
        Ok(Self { color: read(COLOR, 192, false)?, outline: read(OUTLINE, 32, true)? })
    }

    pub(super) fn color(&self) -> &[u8] {
        &self.color
    }

    pub(super) fn outline(&self) -> &[u8] {
        &self.outline
    }
}

/// Checks that an icon is a PNG file, `size` pixels wide and `size` pixels high. If `needs_alpha` is true,
/// the PNG must also have an alpha channel, so that parts of the icon can be transparent. The head of the
/// file shows the size and the channels (<https://www.w3.org/TR/png-3/#11IHDR>).
fn check(png: &[u8], size: u32, needs_alpha: bool) -> anyhow::Result<()> {
    const COLOR_TYPES_WITH_ALPHA: [u8; 2] = [4, 6];
    ensure!(
        png.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR") && png.len() > 33,
        "expected a PNG file; save the icon as PNG"
    );
    let number = |at: usize| png[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
    let (width, height) = (number(16), number(20));
    ensure!(
        (width, height) == (size, size),
        "expected {size} x {size} pixels, found {width} x {height}; scale the icon"
    );
    ensure!(
        !needs_alpha || COLOR_TYPES_WITH_ALPHA.contains(&png[25]),
        "expected a transparent background; save the icon with an alpha channel"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn icon_of_another_kind_or_size_is_refused() {
        let icons = Icons::of_project().unwrap();
        let (color, outline) = (icons.color(), icons.outline());
        for (icon, size, needs_alpha, expected) in [
            (color, 192, false, None),
            (outline, 32, true, None),
            (color, 192, true, Some("transparent")),
            (outline, 192, false, Some("found 32 x 32")),
            (&b"GIF89a"[..], 32, false, Some("PNG")),
            (&color[..20], 192, false, Some("PNG")),
            (b"", 32, false, Some("PNG")),
        ] {
            let error = check(icon, size, needs_alpha).err().map(|error| error.to_string());
            let is_expected = match (&error, expected) {
                (None, None) => true,
                (Some(error), Some(part)) => error.contains(part),
                _ => false,
            };
            assert!(is_expected, "expected {expected:?}, found {error:?}");
        }
    }
}
