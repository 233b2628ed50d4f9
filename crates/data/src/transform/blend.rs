//! What most changes of levels and colours are made of: a mixture of two levels.

/// Mixes a level with another: `from` for a factor of 0, `to` for 1, beyond it for more. Pillow's `Image.blend`: in float32,
/// cut off at 0 and 255, the fraction dropped.
pub(super) fn blend(from: u8, to: u8, factor: f32) -> u8 {
    (f32::from(from) + factor * (f32::from(to) - f32::from(from))) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixtures_by_hand() {
        // 10 + 0.25 * 90 = 32.5; 10 + 2 * 90 = 190; 10 + 3 * 90 = 280; 100 - 2 * 90 = -80.
        assert_eq!([0.0, 0.25, 1.0, 2.0, 3.0].map(|factor| blend(10, 100, factor)), [10, 32, 100, 190, 255]);
        assert_eq!(blend(100, 10, 2.0), 0);
    }
}
