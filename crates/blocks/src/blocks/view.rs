//! Other versions of an image.

use mp_nn::{Params, Tensor, upsample_nearest};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// A fixed change of an image that keeps its size. Nothing is trained.
///
/// ```
/// use mp_blocks::{BlockConfig, ImageView, Shape};
/// use mp_nn::{Device, Store, Tensor};
/// use mp_routing::Pass;
///
/// let x = Tensor::arange(16, (mp_nn::Kind::Float, Device::Cpu)).view([1, 1, 4, 4]);
/// let view = |view: ImageView| {
///     view.build(Shape::square(1, 4), &Store::new(Device::Cpu, 0).root()).map(|b| b.forward(&x, &mut Pass::eval()))
/// };
/// // The middle cells 5, 6, 9 and 10, each four times.
/// assert_eq!(view(ImageView::Centre)?.double_value(&[0, 0, 0, 1]), 5.0);
/// // A ramp has no detail: every cell away from the edge is its neighbours' mean.
/// assert_eq!(view(ImageView::Detail)?.double_value(&[0, 0, 1, 1]), 0.0);
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageView {
    /// The image itself.
    Original,
    /// Its middle half, twice as large.
    Centre,
    /// What is left without its blurred version.
    Detail,
    /// The mean of each 3x3 window; at the edges, of the cells in the image.
    Blurred,
}

impl BlockConfig for ImageView {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a view of an image")?;
        if *self == ImageView::Centre && height.min(width) < 2 {
            return Err(Error::too_small("a view of an image", input));
        }
        Ok(input)
    }

    fn build(&self, input: Shape, _params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        Ok(Box::new(View(*self)))
    }
}

#[derive(Debug)]
struct View(ImageView);

impl Block for View {
    fn forward(&self, x: &Tensor, _pass: &mut Pass) -> Tensor {
        let blurred = || x.avg_pool2d([3, 3], [1, 1], [1, 1], false, false, None);
        match self.0 {
            ImageView::Original => x.shallow_clone(),
            ImageView::Blurred => blurred(),
            ImageView::Detail => x - blurred(),
            ImageView::Centre => {
                let (height, width) = (x.size()[2], x.size()[3]);
                let half = |side: i64| ((side - side / 2) / 2, side / 2);
                let ((top, rows), (left, columns)) = (half(height), half(width));
                upsample_nearest(&x.narrow(2, top, rows).narrow(3, left, columns), (height, width))
            }
        }
    }
}
