//! Pictures made here: faces of people, and digits to be read. PNG without compression, so that nothing is needed for it.
//! Pure: the same name gives the same picture.

use bytes::Bytes;

/// What they are.
pub(crate) const MEDIA_TYPE: &str = "image/png";
/// Cells of a face in each direction; the right half mirrors the left one.
const CELLS: usize = 5;
/// Pixels of a cell of a face.
const CELL: usize = 12;
/// Pixels of a dot of a digit.
const DOT: usize = 6;
/// Rows of each digit, three dots each, the highest bit on the left.
const DIGITS: [[u8; 5]; 10] = [
    [7, 5, 5, 5, 7],
    [2, 6, 2, 2, 7],
    [7, 1, 7, 4, 7],
    [7, 1, 3, 1, 7],
    [5, 5, 7, 1, 1],
    [7, 4, 7, 1, 7],
    [7, 4, 7, 5, 7],
    [7, 1, 2, 2, 2],
    [7, 5, 7, 5, 7],
    [7, 5, 7, 1, 7],
];

/// A number made of a text (FNV-1a), the same on every machine.
pub(crate) fn fingerprint(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The face of somebody: a pattern in a colour of their own.
pub(crate) fn face(name: &str) -> Bytes {
    let bits = fingerprint(name);
    let [red, green, blue, ..] = bits.to_be_bytes();
    let colour = [red / 2 + 32, green / 2 + 32, blue / 2 + 32];
    let side = CELLS * CELL;
    png(side, side, |x, y| {
        let (column, row) = (x / CELL, y / CELL);
        let bit = row * 3 + column.min(CELLS - 1 - column);
        if bits >> bit & 1 == 1 { colour } else { [240, 240, 240] }
    })
}

/// The digits that somebody is asked to read.
pub(crate) fn digits_for(name: &str) -> String {
    format!("{:05}", fingerprint(name) % 100_000)
}

/// A picture of digits.
pub(crate) fn captcha(digits: &str) -> Bytes {
    let rows: Vec<_> = digits
        .bytes()
        .filter_map(|digit| DIGITS.get(usize::from(digit.wrapping_sub(b'0'))))
        .collect();
    png((rows.len() * 4 + 1) * DOT, 7 * DOT, |x, y| {
        let (column, row) = (x / DOT, y / DOT);
        let dot = (1..=3).contains(&(column % 4)) && (1..=5).contains(&row);
        let dark = dot
            && rows
                .get(column / 4)
                .is_some_and(|digit| digit[row - 1] >> (3 - column % 4) & 1 == 1);
        if dark { [20, 20, 60] } else { [250, 250, 250] }
    })
}

/// An image of eight bits per colour (PNG, third edition), its data in stored blocks (RFC 1951 3.2.4).
fn png(width: usize, height: usize, pixel: impl Fn(usize, usize) -> [u8; 3]) -> Bytes {
    let mut lines = Vec::with_capacity(height * (width * 3 + 1));
    for y in 0..height {
        lines.push(0);
        (0..width).for_each(|x| lines.extend(pixel(x, y)));
    }
    let mut zlib = vec![0x78, 0x01];
    let mut blocks = lines.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        zlib.push(u8::from(blocks.peek().is_none()));
        zlib.extend(length.to_le_bytes());
        zlib.extend((!length).to_le_bytes());
        zlib.extend(block);
    }
    zlib.extend(adler32(&lines).to_be_bytes());
    let mut header = Vec::new();
    for side in [width, height] {
        header.extend(u32::try_from(side).unwrap_or(u32::MAX).to_be_bytes());
    }
    header.extend([8, 2, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header), (b"IDAT", zlib), (b"IEND", Vec::new())] {
        png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        let start = png.len();
        png.extend(kind);
        png.extend(data);
        png.extend(crc32(&png[start..]).to_be_bytes());
    }
    png.into()
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    b << 16 | a
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
    }

    #[test]
    fn people_have_faces_of_their_own_and_keep_them() {
        assert_eq!(face("ada"), face("ada"));
        assert_ne!(face("ada"), face("echo"));
        assert!(face("ada").starts_with(b"\x89PNG") && face("ada").len() < 16_384);
    }

    #[test]
    fn any_text_makes_a_picture() {
        assert!(captcha("12345").len() > captcha("1").len());
        assert!(captcha("no digits: \u{e9}").starts_with(b"\x89PNG"));
    }
}
