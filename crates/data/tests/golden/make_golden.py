"""Writes what torchvision and Pillow make of one image: `images.bin.gz` and `magnitudes.csv.gz`, beside this file.

    python make_golden.py

Written with torchvision 0.28.0, Pillow 13.0.0 and NumPy 2.4.6. The image is computed below: it is nobody's photograph.
Each record of `images.bin.gz` is a line `name height width channels`, then the bytes, `[H, W, C]`; values in float32 are
four bytes, little-endian, and count as four channels.
"""

import gzip
import math
import pathlib

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, autoaugment, v2
from torchvision.transforms import functional as F

FOLDER = pathlib.Path(__file__).parent
records = []


def keep(name, image):
    array = np.ascontiguousarray(np.asarray(image))
    if array.dtype == np.float32:
        array = array.astype("<f4").view(np.uint8)
    assert array.dtype == np.uint8, (name, array.dtype)
    array = array.reshape(*array.shape[:2], -1)
    records.append(f"{name} {' '.join(map(str, array.shape))}\n".encode() + array.tobytes())


def scene(height, width):
    """A sky with a sun, hills, a textured field and a red roof: smooth parts, edges, noise, dark and bright."""
    random = np.random.default_rng(5)
    y, x = np.mgrid[0:height, 0:width] / height
    image = np.stack([90 + 110 * y, 140 + 80 * y, 235 - 40 * y], -1)
    image[np.hypot(y - 0.2, x - 0.9) < 0.11] = [255, 244, 190]
    hills = 0.45 + 0.06 * np.sin(9 * x) + 0.03 * np.sin(23 * x + 1)
    image[y > hills] = [60, 84, 72]
    field = y > 0.6 + 0.1 * x
    furrows = 0.8 + 0.2 * np.sin(60 * x + 40 * y)
    image[field] = (np.stack([96 + 40 * x, 128 - 30 * y, 30 + 20 * x], -1) * furrows[..., None])[field]
    house = (y > 0.5) & (y < 0.78) & (x > 0.25) & (x < 0.55)
    image[house] = [222, 208, 180]
    image[(y > 0.36) & (y <= 0.5) & (np.abs(x - 0.4) < 1.3 * (y - 0.36) + 0.02)] = [176, 40, 28]
    image[(y > 0.6) & (y < 0.7) & (x > 0.31) & (x < 0.38)] = [18, 20, 34]
    image += random.normal(0, 1.5, image.shape)
    image[field] += random.normal(0, 9, image.shape)[field]
    return Image.fromarray(np.clip(image.round(), 0, 255).astype(np.uint8))


NEAREST, BILINEAR, BICUBIC = InterpolationMode.NEAREST, InterpolationMode.BILINEAR, InterpolationMode.BICUBIC
large, photo = scene(72, 96), scene(40, 56)
grey = photo.convert("L")
keep("large", large)
keep("photo", photo)
keep("grey", grey)

for name, mode in [("bilinear", BILINEAR), ("bicubic", BICUBIC)]:
    keep(f"resize_{name}", F.resize(large, 40, mode))
    keep(f"enlarge_{name}", F.resize(photo, 61, mode))
    keep(f"resized_crop_{name}", F.resized_crop(large, 7, 11, 50, 60, [32, 32], mode))
# The same in the order of `fast_image_resize`: Pillow's own is rows first.
for name, image, (width, height) in [("resize", large, (53, 40)), ("enlarge", photo, (85, 61))]:
    columns = image.resize((image.width, height), Image.Resampling.BICUBIC)
    keep(f"{name}_columns_first", columns.resize((width, height), Image.Resampling.BICUBIC))
keep("resize_grey", F.resize(grey, 23, BILINEAR))
keep("centre_crop", F.center_crop(photo, 33))
keep("centre_crop_padded", F.center_crop(photo, 50))
for mode in ["constant", "reflect"]:
    keep(f"pad_crop_{mode}", F.crop(F.pad(photo, 4, padding_mode=mode), 1, 7, 40, 56))
keep("flip", F.hflip(photo))


def operation(image, name, magnitude, mode=NEAREST):
    return autoaugment._apply_op(image, name, magnitude, mode, None)


for which, image in [("photo", photo), ("grey", grey)]:
    for name, magnitude in [
        ("Brightness", -0.4), ("Brightness", 0.7), ("Contrast", -0.5), ("Contrast", 0.8), ("Color", -0.7), ("Color", 0.9),
        ("Sharpness", -0.8), ("Sharpness", 0.9), ("Posterize", 3), ("Solarize", 110.0), ("AutoContrast", 0.0),
        ("Equalize", 0.0), ("Invert", 0.0),
    ]:
        # Darker and flatter than the whole range, so that there is something to stretch.
        start = image.point(lambda level: 30 + level // 2) if name == "AutoContrast" else image
        if name == "AutoContrast":
            keep(f"{which}_flat", start)
        keep(f"{which}_{name}_{magnitude}", operation(start, name, magnitude))
for name, magnitude in [
    ("ShearX", 0.25), ("ShearY", -0.18), ("TranslateX", 7.0), ("TranslateY", -5.0), ("Rotate", 27.0), ("Rotate", -110.0),
]:
    for mode in [NEAREST, BILINEAR]:
        keep(f"{name}_{magnitude}_{mode.value}", operation(photo, name, magnitude, mode))
keep("hue_0.1", F.adjust_hue(photo, 0.1))
keep("hue_-0.3", F.adjust_hue(photo, -0.3))
keep("greyscale", F.to_grayscale(photo, 3))
keep("blur_5_1.3", F.gaussian_blur(photo, [5, 5], [1.3, 1.3]))
keep("blur_9_2.0", F.gaussian_blur(photo, [9, 9], [2.0, 2.0]))


def mixed(image, kept, chains):
    """AugMix's sum, as torchvision's `AugMix.forward` computes it."""
    sum = kept * F.pil_to_tensor(image)
    for weight, chain in chains:
        changed = image
        for name, magnitude in chain:
            changed = operation(changed, name, magnitude, BILINEAR)
        sum += weight * F.pil_to_tensor(changed)
    return sum.to(torch.uint8).permute(1, 2, 0).numpy()


keep("aug_mix", mixed(photo, 0.25, [(0.5, [("Rotate", 10.0), ("Solarize", 170.0)]), (0.25, [("ShearX", 0.2)])]))

patches = torch.stack([F.to_tensor(F.crop(large, 10 * k, 20 * k, 8, 8)) for k in range(3)])
keep("patches", patches.permute(0, 2, 3, 1).reshape(24, 8, 3).numpy())
labels = torch.tensor([0, 3, 1])
for name, mix, params in [
    ("mixup", v2.MixUp(num_classes=4), dict(lam=0.7)),
    ("cutmix", v2.CutMix(num_classes=4), dict(box=(2, 1, 7, 5), lam_adjusted=1 - 20 / 64)),
]:
    params |= dict(labels=labels, batch_size=3)
    keep(name, mix.transform(patches, params).permute(0, 2, 3, 1).reshape(24, 8, 3).numpy())
    keep(f"{name}_targets", mix.transform(labels, params).reshape(3, 4, 1).numpy())

normalised = F.normalize(F.to_tensor(F.crop(large, 20, 20, 16, 16)), [0.5, 0.4, 0.3], [0.2, 0.25, 0.3])
keep("erasing_input", F.crop(large, 20, 20, 16, 16))
keep("erasing", F.erase(normalised, 3, 5, 6, 8, torch.zeros(1)).permute(1, 2, 0).numpy())

(FOLDER / "images.bin.gz").write_bytes(gzip.compress(b"".join(records), 9, mtime=0))

lines = []
for space, transform, bins, arguments in [
    ("auto_augment", autoaugment.AutoAugment(), 10, ((32, 40),)),
    ("rand_augment", autoaugment.RandAugment(), 31, ((32, 40),)),
    ("trivial_augment", autoaugment.TrivialAugmentWide(), 31, ()),
    ("aug_mix", autoaugment.AugMix(), 10, ((32, 40),)),
]:
    for name, (magnitudes, signed) in transform._augmentation_space(bins, *arguments).items():
        for level in range(bins):
            value = float(magnitudes[level]) if magnitudes.ndim else 0.0
            value = math.trunc(value) if name.startswith("Translate") else value
            lines.append(f"{space},{name},{level},{value},{int(signed)}\n")
(FOLDER / "magnitudes.csv.gz").write_bytes(gzip.compress("".join(lines).encode(), 9, mtime=0))
print(len(records), "images")
