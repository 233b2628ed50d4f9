//! A digest of what identifies the images of a data set, without reading every byte of them.

use sha2::{Digest, Sha256};

use rayon::prelude::*;

/// Bytes of pixels that are digested at a time, each part on whichever thread is free.
const PART: usize = 1 << 20;

/// A digest under way. What is added is framed, so that no two lists of parts read alike: `ab`, `c` is not `a`, `bc`.
pub(crate) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Begins the digest of a data set that is stored as `kind`, with its class names in label order.
    pub(crate) fn new(kind: &str, classes: &[String]) -> Self {
        let mut fingerprint = Self(Sha256::new());
        fingerprint.bytes(kind.as_bytes());
        fingerprint.number(classes.len() as u64);
        classes.iter().for_each(|class| fingerprint.bytes(class.as_bytes()));
        fingerprint
    }

    pub(crate) fn number(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    /// Many bytes: the digests of their parts, which are taken in parallel.
    pub(crate) fn many_bytes(&mut self, bytes: &[u8]) {
        let parts: Vec<_> = bytes.par_chunks(PART).map(Sha256::digest).collect();
        self.number(bytes.len() as u64);
        parts.iter().for_each(|part| self.0.update(part));
    }

    /// 32 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        self.0.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(fill: impl FnOnce(&mut Fingerprint)) -> String {
        let mut fingerprint = Fingerprint::new("test", &["a".to_owned()]);
        fill(&mut fingerprint);
        fingerprint.finish()
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let apart = of(|it| ["ab", "c"].iter().for_each(|text| it.bytes(text.as_bytes())));
        assert_ne!(apart, of(|it| ["a", "bc"].iter().for_each(|text| it.bytes(text.as_bytes()))));
        assert_eq!(apart, of(|it| ["ab", "c"].iter().for_each(|text| it.bytes(text.as_bytes()))));
        assert_eq!((apart.len(), apart.bytes().all(|byte| byte.is_ascii_hexdigit())), (32, true));
    }

    #[test]
    fn every_byte_of_many_counts() {
        let mut pixels = vec![7; 2 * PART + 3];
        let before = of(|it| it.many_bytes(&pixels));
        for at in [0, PART, 2 * PART + 2] {
            pixels[at] = 8;
            assert_ne!(of(|it| it.many_bytes(&pixels)), before, "byte {at}");
            pixels[at] = 7;
        }
        assert_eq!(of(|it| it.many_bytes(&pixels)), before);
    }
}
