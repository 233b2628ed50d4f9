//! The checksum of a weight file: a CRC-32 of all of it, in the file's own header, so that any reader of safetensors reads it.
//!
//! A safetensors file is the length of its header, the header as JSON, and the numbers. A sealed file's header begins with
//! [`MARK`] and eight hexadecimal digits: the CRC-32 of the file as it would be with eight zeros in their place. So every
//! byte counts, the length and the digits themselves included. A mark in which a few bits differ is a damaged mark, not that
//! of a file without one: otherwise a fault there would turn the check off.

use crc32fast::Hasher;

/// The key of the checksum among the file's metadata.
pub(crate) const KEY: &str = "multipath.crc32";

/// How a sealed file goes on after its length.
const MARK: &[u8] = br#"{"__metadata__":{"multipath.crc32":""#;

/// Bytes of the length.
const LENGTH: usize = 8;

/// Where the digits stand.
const DIGITS: std::ops::Range<usize> = LENGTH + MARK.len()..LENGTH + MARK.len() + 8;

/// Bits in which a damaged mark may differ from a whole one. Other headers differ in far more.
const NEAR: u32 = 8;

/// Whether a file that is whole in form is also whole in content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seal {
    /// It has a checksum, which is right.
    Holds,
    /// It has none.
    Absent,
    /// It has one, and is damaged: in what way.
    Broken(String),
}

/// Splits an unsealed file in two and seals it: the new length and header, and the numbers as they are.
pub(crate) fn seal(file: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let length = usize::try_from(u64::from_le_bytes(file.get(..LENGTH)?.try_into().ok()?)).ok()?;
    let (header, numbers) = file[LENGTH..].split_at_checked(length)?;
    // Other metadata or none, then the tensors.
    let rest = header.trim_ascii_end().strip_prefix(b"{\"__metadata__\":{")?;

    let mut head = vec![0; LENGTH];
    head.extend(MARK);
    head.extend(b"00000000\"");
    if !rest.starts_with(b"}") {
        head.push(b',');
    }
    head.extend(rest);
    head.resize(head.len().next_multiple_of(LENGTH), b' ');
    let length = (head.len() - LENGTH) as u64;
    head[..LENGTH].copy_from_slice(&length.to_le_bytes());

    let mut crc = Hasher::new();
    crc.update(&head);
    crc.update(numbers);
    head[DIGITS].copy_from_slice(digits(&crc).as_bytes());
    Some((head, numbers))
}

/// Compares a file with its checksum, where it has one.
pub(crate) fn check(file: &[u8]) -> Seal {
    let Some(mark) = file.get(LENGTH..DIGITS.start) else { return Seal::Absent };
    let differing: u32 = mark.iter().zip(MARK).map(|(found, expected)| (found ^ expected).count_ones()).sum();
    match (differing, file.get(DIGITS)) {
        (0, Some(stated)) => {
            let mut crc = Hasher::new();
            crc.update(&file[..DIGITS.start]);
            crc.update(b"00000000");
            crc.update(&file[DIGITS.end..]);
            let found = digits(&crc);
            if stated == found.as_bytes() {
                return Seal::Holds;
            }
            let stated = stated.escape_ascii();
            Seal::Broken(format!("its checksum says {stated}, its contents give {found}"))
        }
        (..=NEAR, _) => Seal::Broken("its checksum cannot be read".to_owned()),
        _ => Seal::Absent,
    }
}

fn digits(crc: &Hasher) -> String {
    format!("{:08x}", crc.clone().finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One tensor of two bytes, and as much metadata as `metadata`.
    fn file(metadata: &str) -> Vec<u8> {
        let mut header =
            format!(r#"{{"__metadata__":{{{metadata}}},"w":{{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}}}"#);
        header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[7, 8]].concat()
    }

    fn sealed(metadata: &str) -> Vec<u8> {
        let plain = file(metadata);
        let (head, numbers) = seal(&plain).unwrap();
        [&head, numbers].concat()
    }

    #[test]
    fn a_sealed_file_is_still_a_safetensors_file_with_its_metadata() {
        for (metadata, others) in [("", 0), (r#""made_by":"test""#, 1)] {
            let file = sealed(metadata);
            assert_eq!(check(&file), Seal::Holds);
            let (_, header) = safetensors::SafeTensors::read_metadata(&file).unwrap();
            let found = header.metadata().clone().unwrap();
            assert_eq!((found.len(), found[KEY].len()), (1 + others, 8));
            assert_eq!(safetensors::SafeTensors::deserialize(&file).unwrap().tensor("w").unwrap().data(), [7, 8]);
        }
    }

    #[test]
    fn every_single_bit_counts() {
        let file = sealed(r#""made_by":"test""#);
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(check(&flipped), Seal::Broken(_)), "bit {} of byte {}", bit % 8, bit / 8);
        }
    }

    #[test]
    fn bytes_that_change_places_and_zeroed_blocks_are_found() {
        let file = sealed("");
        for at in [0, 8, 20, 60, file.len() - 2] {
            let mut changed = file.clone();
            changed.swap(at, at + 1);
            assert!(changed == file || check(&changed) != Seal::Holds, "bytes {at} and {}", at + 1);
        }
        let mut zeroed = file.clone();
        zeroed[100..].fill(0);
        assert!(matches!(check(&zeroed), Seal::Broken(_)));
    }

    #[test]
    fn files_of_others_have_no_checksum() {
        assert_eq!(check(&file("")), Seal::Absent);
        assert_eq!(check(&file(r#""format":"pt""#)), Seal::Absent);
        assert_eq!(check(br#"12345678{"w":{"dtype":"F32","shape":[100,100],"data_offsets":[0,40000]}}"#), Seal::Absent);
        assert_eq!(check(b""), Seal::Absent);
    }

    #[test]
    fn what_is_no_file_of_tensors_is_not_sealed() {
        for file in [&b""[..], b"12345678", &9_u64.to_le_bytes(), b"\x02\0\0\0\0\0\0\0{}"] {
            assert_eq!(seal(file), None);
        }
    }
}
