"""Writes the pictures here, and beside each the pixels that Pillow's convert("RGB") gives: NAME.rgb, 13 rows of 20 columns.
Those named tall-*.jpg, 70 rows of 24 columns, have no pixels beside them: they are compared with parts of themselves.

    python write.py        # Pillow 12

They are drawn by a formula, so they are nobody's work but this project's.
"""

from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
y, x = np.mgrid[0:13, 0:20].astype(float)
blob = np.exp(-((x - 12) ** 2 + (y - 5) ** 2) / 30)
rgb = np.stack([40 + 200 * blob, 20 + 10 * x, 230 - 12 * y - 40 * blob], axis=-1).clip(0, 255).astype(np.uint8)
color = Image.fromarray(rgb)
grey = color.convert("L")
alpha = Image.fromarray((12 * x).astype(np.uint8))
deep = (rgb[..., 0].astype(np.uint16) << 8) | 0x80

pictures = {
    "baseline.jpg": (color, dict(quality=90, subsampling=0)),
    "subsampled.jpg": (color, dict(quality=90, subsampling=2)),
    "progressive.jpg": (color, dict(quality=90, progressive=True)),
    "restarts.jpg": (color, dict(quality=90, restart_marker_blocks=1)),
    "grey.jpg": (grey, dict(quality=90)),
    "cmyk.jpg": (color.convert("CMYK"), dict(quality=95)),
    "color.png": (color, {}),
    "grey.png": (grey, {}),
    "grey_alpha.png": (Image.merge("LA", (grey, alpha)), {}),
    "alpha.png": (Image.merge("RGBA", (*color.split(), alpha)), {}),
    "palette.png": (color.quantize(7), {}),
    "bits.png": (grey.convert("1"), {}),
    "deep.png": (Image.fromarray(deep), {}),
    "lossy.webp": (color, dict(quality=90)),
    "lossless.webp": (Image.merge("RGBA", (*color.split(), alpha)), dict(lossless=True, exact=True)),
    "color.bmp": (color, {}),
    "palette.bmp": (color.quantize(7), {}),
}
rotated = Image.Exif()
rotated[0x0112] = 6
pictures["rotated.jpg"] = (color, dict(quality=90, subsampling=0, exif=rotated))

for name, (picture, options) in pictures.items():
    picture.save(HERE / name, **options)
    # Pillow cuts 16-bit grey at 255; here its upper byte is kept, as Pillow does for 16-bit colour.
    pixels = np.repeat((deep >> 8)[..., None], 3, axis=-1) if name == "deep.png" else Image.open(HERE / name).convert("RGB")
    (HERE / name).with_suffix(f".{name.split('.')[1]}.rgb").write_bytes(np.asarray(pixels, dtype=np.uint8).tobytes())

y, x = np.mgrid[0:70, 0:24].astype(float)
waves = [127 + 120 * np.sin(x * y / 40), 127 + 120 * np.cos(y / 3), 127 + 120 * np.sin((x - y) / 5)]
tall = Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))
for name, picture, options in [
    ("444", tall, dict(subsampling=0)),
    ("422", tall, dict(subsampling=1)),
    ("420", tall, dict(subsampling=2)),
    ("restarts", tall, dict(subsampling=2, restart_marker_blocks=1)),
    ("grey", tall.convert("L"), {}),
    ("cmyk", tall.convert("CMYK"), {}),
    ("progressive", tall, dict(progressive=True)),
]:
    picture.save(HERE / f"tall-{name}.jpg", quality=60, **options)
