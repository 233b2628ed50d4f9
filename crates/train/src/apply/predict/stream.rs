//! Images from files, batch by batch.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use tch::Tensor;

use super::Inputs;
use super::array::Array;
use super::picture::{Desk, Reader};
use crate::Error;
use crate::images::Identity;

/// Pictures that are read and classified together.
const PICTURES: usize = 32;
/// Images of an array that are classified together.
const IMAGES: usize = 256;

/// Reads the images of many files, a [`Chunk`] at a time, in their order; several threads decode.
pub struct Stream<'i> {
    inputs: Inputs,
    identity: &'i Identity,
    reader: Reader,
    /// An array that came after pictures, or is not through yet, with the first image that comes next.
    array: Option<(Array, usize)>,
}

/// Some images, ready for a network, and the files among them that hold none.
pub struct Chunk {
    /// The names of the images, in order: paths, with the image's number where a file holds several.
    pub names: Vec<String>,
    /// The images `[B, C, H, W]`; none where all files were bad.
    pub images: Option<Tensor>,
    /// What cannot be read, each with its path.
    pub bad: Vec<Error>,
}

impl<'i> Stream<'i> {
    /// Images for a network of `identity`.
    ///
    /// # Errors
    /// An identity that no images can be brought to.
    pub fn new(inputs: Inputs, identity: &'i Identity) -> Result<Self, Error> {
        Ok(Self { inputs, identity, reader: Reader::new(identity)?, array: None })
    }

    /// Where the paths come from.
    pub fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Reads pictures until a chunk is full or an array follows.
    fn pictures(&mut self) -> Option<Chunk> {
        let (mut paths, mut bad) = (Vec::new(), Vec::new());
        while paths.len() < PICTURES && bad.len() < PICTURES {
            match self.inputs.next() {
                None => break,
                Some(Err(error)) => bad.push(error),
                Some(Ok(path)) if Array::is_named(&path) => match Array::open(&path, self.identity) {
                    Ok(array) => {
                        self.array = Some((array, 0));
                        break;
                    }
                    Err(error) => bad.push(error),
                },
                Some(Ok(path)) => paths.push(path),
            }
        }
        if paths.is_empty() && bad.is_empty() {
            return None;
        }
        let read = |desk: &mut Desk, path: &PathBuf| self.reader.picture(path, desk);
        let found: Vec<Result<Vec<f32>, Error>> = paths.par_iter().map_init(Desk::new, read).collect();
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (path, found) in paths.into_iter().zip(found) {
            match found {
                Ok(found) => {
                    names.push(path.display().to_string());
                    values.extend(found);
                }
                Err(error) => bad.push(error),
            }
        }
        let shape = self.reader.shape();
        let size = [-1, shape.height as i64, shape.width as i64, shape.channels as i64];
        let images = (!names.is_empty()).then(|| Tensor::from_slice(&values).view(size).permute([0, 3, 1, 2]));
        Some(Chunk { names, images, bad })
    }

    /// The next images of the array that is open.
    fn of_array(&mut self) -> Option<Chunk> {
        let (array, first) = self.array.take()?;
        let end = array.len().min(first + IMAGES);
        let names = (first..end).map(|index| name(array.path(), index, array.len())).collect();
        let chunk = match array.part(first..end, &self.reader) {
            Ok(images) => Chunk { names, images: Some(images), bad: Vec::new() },
            Err(error) => return Some(Chunk { names: Vec::new(), images: None, bad: vec![error] }),
        };
        if end < array.len() {
            self.array = Some((array, end));
        }
        Some(chunk)
    }
}

impl Iterator for Stream<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        // The second time where nothing but an array lay ahead.
        self.of_array().or_else(|| self.pictures()).or_else(|| self.of_array())
    }
}

fn name(path: &Path, index: usize, images: usize) -> String {
    match images {
        1 => path.display().to_string(),
        _ => format!("{}[{index}]", path.display()),
    }
}
