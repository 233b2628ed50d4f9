//! Views of a part of a data set.

use std::ops::Range;
use std::sync::Arc;

use crate::fingerprint::Fingerprint;
use crate::{Dataset, Error, Image, ImageShape, ImageView, Rows};

/// Some of the images of another data set, without copying them.
#[derive(Clone)]
pub struct Subset {
    name: String,
    whole: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The images of `whole` at `indices`, in that order.
    ///
    /// # Errors
    /// [`Error::Config`] if an index is not below `whole.len()`.
    pub fn new(name: impl Into<String>, whole: Arc<dyn Dataset>, indices: Vec<usize>) -> Result<Self, Error> {
        if let Some(index) = indices.iter().find(|&&index| index >= whole.len()) {
            return Err(Error::Config(format!(
                "image {index} is not in `{}`: expected an index below {}",
                whole.name(),
                whole.len()
            )));
        }
        Ok(Self { name: name.into(), whole, indices })
    }

    /// The positions in the whole data set of the images seen here.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn channels(&self) -> usize {
        self.whole.channels()
    }

    fn shape(&self) -> Option<ImageShape> {
        self.whole.shape()
    }

    fn stored_shape(&self, index: usize) -> Result<ImageShape, Error> {
        self.whole.stored_shape(self.indices[index])
    }

    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.whole.label(self.indices[index])
    }

    fn origin(&self, index: usize) -> String {
        self.whole.origin(self.indices[index])
    }

    /// Those of the whole, as far as neighbours here are in the same one there.
    fn shards(&self) -> Vec<Range<usize>> {
        let whole = self.whole.shards();
        let shard = |&index: &usize| whole.partition_point(|shard| shard.end <= index);
        let mut start = 0;
        let runs = self.indices.chunk_by(|left, right| shard(left) == shard(right));
        runs.map(|run| {
            start += run.len();
            start - run.len()..start
        })
        .collect()
    }

    fn fingerprint(&self) -> Result<String, Error> {
        let mut fingerprint = Fingerprint::new("subset", self.classes());
        fingerprint.bytes(self.whole.fingerprint()?.as_bytes());
        self.indices.iter().for_each(|&index| fingerprint.number(index as u64));
        Ok(fingerprint.finish())
    }

    fn encoded<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        self.whole.encoded(self.indices[index], buffer)
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.whole.image(self.indices[index], buffer)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        self.whole.first_rows(self.indices[index], buffer, rows)
    }
}
