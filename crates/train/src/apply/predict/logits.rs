//! Logits as a NumPy array of which the length is known only in the end.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use ndarray::ArrayD;
use tch::Tensor;

use crate::Error;
use crate::folder::OutputFile;

/// Gathers logits in a file without a name, then writes them as a float32 `[B, N]` array in NumPy's format, whole or not at all.
pub struct LogitsFile {
    rows: BufWriter<File>,
    images: u64,
    classes: i64,
}

impl LogitsFile {
    /// Nothing yet; `classes` is N.
    ///
    /// # Errors
    /// [`Error::Io`] where there is no room for temporary files.
    pub fn new(classes: usize) -> Result<Self, Error> {
        let rows = tempfile::tempfile().map_err(Error::io("write to", &std::env::temp_dir()))?;
        Ok(Self { rows: BufWriter::new(rows), images: 0, classes: classes as i64 })
    }

    /// Adds the rows of `logits`, `[b, N]`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(&mut self, logits: &Tensor) -> Result<(), Error> {
        let array: ArrayD<f32> = logits.try_into().map_err(|error| Error::torch("copy the logits", &error))?;
        for value in &array {
            self.rows.write_all(&value.to_le_bytes()).map_err(Error::io("write to", &std::env::temp_dir()))?;
        }
        self.images += logits.size()[0] as u64;
        Ok(())
    }

    /// Writes what was gathered; returns its shape.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(self, output: &OutputFile) -> Result<[u64; 2], Error> {
        let shape = [self.images, self.classes as u64];
        let failed = || Error::io("write", output.path());
        let mut rows = self.rows.into_inner().map_err(|error| failed()(error.into_error()))?;
        rows.seek(SeekFrom::Start(0)).map_err(failed())?;
        output.write_from(&mut header(shape).as_slice().chain(BufReader::new(rows)))?;
        Ok(shape)
    }
}

/// The header of version 1.0, padded to 128 bytes: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
fn header([images, classes]: [u64; 2]) -> Vec<u8> {
    const LENGTH: usize = 128;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(((LENGTH - 10) as u16).to_le_bytes());
    bytes.extend(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({images}, {classes}), }}").bytes());
    bytes.resize(LENGTH - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use ndarray_npy::ReadNpyExt;

    use super::*;

    #[test]
    fn what_was_gathered_is_one_array() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.npy");
        let mut logits = LogitsFile::new(2).unwrap();
        logits.add(&Tensor::from_slice(&[1.0_f32, -2.5]).view([1, 2])).unwrap();
        logits.add(&Tensor::from_slice(&[0.1_f32, f32::INFINITY, 4.0, 5.0]).view([2, 2])).unwrap();
        assert_eq!(logits.finish(&OutputFile::new(&path, false, &[]).unwrap()).unwrap(), [3, 2]);
        let read = Array2::<f32>::read_npy(File::open(&path).unwrap()).unwrap();
        assert_eq!(read, ndarray::arr2(&[[1.0, -2.5], [0.1, f32::INFINITY], [4.0, 5.0]]));
    }
}
