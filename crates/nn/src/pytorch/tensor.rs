//! Tensors as a pickle describes them: views of storages, with an offset, a shape and strides.

use mp_pickle::{Item, Name, Object};
use tch::{Kind, Tensor};

use super::storage::{Storage, Storages, size};
use super::{Fault, shown};

/// The most axes of a tensor; the networks here have 5 at most.
const MOST_AXES: usize = 16;

/// Whether a name is one of PyTorch's functions that make a tensor of a storage, or a parameter of a tensor.
pub(super) fn is_rebuilding(name: Name<'_>) -> bool {
    name.module == "torch._utils"
        && matches!(name.name, "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_parameter")
}

/// Makes tensors of what a pickle says of them.
pub(super) struct Rebuilder<'s> {
    storages: &'s dyn Storages,
    /// How many bytes the tensors to come may still have.
    left: usize,
}

impl<'s> Rebuilder<'s> {
    pub(super) fn new(storages: &'s dyn Storages, most_bytes: usize) -> Self {
        Self { storages, left: most_bytes }
    }

    /// The tensor that an item describes, in row-major order; none if it is not a tensor.
    pub(super) fn tensor(&mut self, name: &str, item: Item<'_, '_>) -> Result<Option<Tensor>, Fault> {
        let Some(object) = item.object().filter(|object| is_rebuilding(object.name())) else { return Ok(None) };
        let object = match object.name().name {
            // Of a tensor, which the first argument is; a parameter of a parameter there is not.
            "_rebuild_parameter" => object.arguments().next().and_then(Item::object),
            _ => Some(object),
        };
        let view =
            object.filter(|object| is_rebuilding(object.name())).ok_or("is damaged: a parameter without a tensor");
        let named = |fault: Fault| format!("{fault} (tensor `{}`)", shown(name));
        let view = View::read(view?).map_err(named)?;
        let bytes = view.storage.bytes(self.storages).map_err(named)?;
        view.check(bytes.len(), &mut self.left).map_err(named)?;
        view.copy(bytes).map(Some).map_err(named)
    }
}

/// A view of a storage; offset and strides count numbers, not bytes.
struct View<'a> {
    storage: Storage<'a>,
    offset: usize,
    sizes: Vec<usize>,
    strides: Vec<usize>,
}

impl<'a> View<'a> {
    /// Reads `(storage, offset, shape, strides, ...)`; what follows is of no meaning for the numbers.
    fn read(object: Object<'_, 'a>) -> Result<Self, Fault> {
        let mut arguments = object.arguments();
        let [storage, offset, sizes, strides] = std::array::from_fn(|_| arguments.next());
        let all =
            |items: Option<Item<'_, '_>>| items?.tuple()?.take(MOST_AXES + 1).map(size).collect::<Option<Vec<_>>>();
        let parts = (storage, offset.and_then(size), all(sizes), all(strides));
        let (Some(storage), Some(offset), Some(sizes), Some(strides)) = parts else {
            return Err("is damaged: expected a storage, an offset, a shape and strides".to_owned());
        };
        if sizes.len() != strides.len() || sizes.len() > MOST_AXES {
            return Err(format!("is damaged: expected a shape and strides of the same {MOST_AXES} axes at most"));
        }
        Ok(Self { storage: Storage::read(storage)?, offset, sizes, strides })
    }

    /// Checks that the view lies in its storage, and takes what its copy needs from what is `left`.
    fn check(&self, storage_bytes: usize, left: &mut usize) -> Result<(), Fault> {
        let width = self.storage.kind.elt_size_in_bytes();
        let numbers = storage_bytes / width;
        let count = self.sizes.iter().try_fold(1_usize, |count, &size| count.checked_mul(size));
        // A size of zero hides any other, which libtorch would multiply all the same.
        let most = self.sizes.iter().max().copied().unwrap_or_default();
        let last = || {
            let steps = self.sizes.iter().zip(&self.strides);
            let mut steps = steps.map(|(size, stride)| size.saturating_sub(1).checked_mul(*stride));
            steps.try_fold(self.offset, |at, step| at.checked_add(step?))
        };
        let fits = match count {
            Some(0) => most <= numbers.max(1 << 20),
            Some(_) => last().is_some_and(|last| last < numbers),
            None => false,
        };
        if !fits {
            let (sizes, strides, offset) = (&self.sizes, &self.strides, self.offset);
            return Err(format!(
                "is damaged: a view of shape {sizes:?}, strides {strides:?} and offset {offset} lies beyond its storage of \
                 {numbers} numbers"
            ));
        }
        let rest = count.and_then(|count| left.checked_sub(count.checked_mul(width)?));
        *left = rest.ok_or_else(|| {
            format!("holds views that would unfold to more than {} times its own size: refused", super::MOST_COPIES)
        })?;
        Ok(())
    }

    /// The tensor, of numbers that lie in their order, and which shares nothing with other tensors.
    fn copy(&self, bytes: &[u8]) -> Result<Tensor, Fault> {
        let kind = self.storage.kind;
        let width = kind.elt_size_in_bytes();
        let count = self.sizes.iter().product::<usize>();
        let gathered;
        let plain = match self.is_plain() {
            true if count > 0 => &bytes[self.offset * width..][..count * width],
            _ => {
                gathered = self.gather(bytes, width, count);
                &gathered[..]
            }
        };
        if kind == Kind::Bool && plain.iter().any(|&byte| byte > 1) {
            return Err("is damaged: it has truth values other than 0 and 1".to_owned());
        }
        let sizes: Vec<i64> = self.sizes.iter().map(|&size| size as i64).collect();
        Tensor::f_from_data_size(plain, &sizes, kind).map_err(|error| {
            format!("is refused by libtorch: {}", error.to_string().lines().next().unwrap_or_default())
        })
    }

    /// Whether the numbers lie one after the other.
    fn is_plain(&self) -> bool {
        let mut expected = 1;
        self.sizes.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size.max(1);
            fits
        })
    }

    /// The bytes of the numbers, picked one by one.
    fn gather(&self, bytes: &[u8], width: usize, count: usize) -> Vec<u8> {
        let mut gathered = Vec::with_capacity(count * width);
        let mut index = vec![0; self.sizes.len()];
        let mut at = self.offset;
        for _ in 0..count {
            gathered.extend_from_slice(&bytes[at * width..][..width]);
            // The next index, the last axis first, as a counter of kilometres goes on.
            for axis in (0..index.len()).rev() {
                index[axis] += 1;
                at += self.strides[axis];
                if index[axis] < self.sizes[axis] {
                    break;
                }
                at -= self.strides[axis] * self.sizes[axis];
                index[axis] = 0;
            }
        }
        gathered
    }
}
