"""Times torchvision's DataLoader and mp-data's Loader on the same images and cores, interleaved, and prints the ratio.

    cargo build --release -p mp-data --example load_speed
    python benches/peers/data_loading.py --cifar CIFAR_FOLDER --folder IMAGE_FOLDER [--packed FILE] [--json]

Each case is a pass over training images in random order, in batches of 128, with two workers or threads:

  cifar    CIFAR-10's binary files: pad 4, crop, flip, normalise
  folder   a folder of JPEGs: decode, random resized crop to 112, flip, normalise
  mixed    the same on photos of 300 to 600 pixels a side, which this script makes out of the folder's by enlarging them
  packed   the same on `mp-train data pack`'s decoded pixels, compared with torchvision on the folder
  many     seconds from the start to the first batch of 100,000 files, linked from the folder's

README.md beside this file says what is the same on both sides and how to read the result.
"""

import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from training_step import processor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision import transforms
from torchvision.datasets import ImageFolder

REPOSITORY = Path(__file__).resolve().parents[2]
NORMALISE = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
BATCH = 128


class Cifar(Dataset):
    """What torchvision.datasets.CIFAR10 does for an image, over the binary files."""

    def __init__(self, folder: Path, transform: transforms.Compose):
        files = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
        records = np.concatenate([np.fromfile(file, np.uint8).reshape(-1, 3073) for file in files])
        self.labels = records[:, 0].tolist()
        self.images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


class Peer:
    """The torchvision side: its workers live as long as the case."""

    def __init__(self, dataset: Dataset, images: int, workers: int):
        if 0 < images < len(dataset):
            dataset = Subset(dataset, range(images))
        self.count = len(dataset)
        self.loader = DataLoader(dataset, BATCH, shuffle=True, num_workers=workers, persistent_workers=True)

    def run(self) -> float:
        start = time.perf_counter()
        served = sum(len(labels) for _, labels in self.loader)
        assert served == self.count
        return served / (time.perf_counter() - start)


def photos(folder: Path, size: int) -> ImageFolder:
    steps = [transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALISE]
    return ImageFolder(str(folder / "train"), transforms.Compose(steps))


def cifar(folder: Path) -> Cifar:
    steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALISE]
    return Cifar(folder, transforms.Compose(steps))


def ours(options: argparse.Namespace, path: Path, **settings: int) -> dict:
    words = [f"{name}={value}" for name, value in settings.items()]
    command = [str(options.load_speed), str(path), f"threads={options.workers}", f"batch={BATCH}", *words]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def interleaved(name: str, options: argparse.Namespace, peer: Peer, path: Path, size: int) -> dict:
    """Rounds in which each side has one pass, after one that is not timed."""
    peer.run()
    rounds, memory = [], []
    for number in range(options.rounds):

        def multipath() -> float:
            found = ours(options, path, size=size, passes=2 if size else 6, images=peer.count)
            if found["images"] != peer.count:
                sys.exit(f"{path}: mp-data served {found['images']} images, torchvision {peer.count}")
            memory.append(found["peak_memory_mib"])
            return statistics.median(found["images_per_second"][1:])

        sides = [("multipath", multipath), ("torchvision", peer.run)]
        rounds.append({name: run() for name, run in (sides if number % 2 == 0 else reversed(sides))})
    ratios = [round["multipath"] / round["torchvision"] for round in rounds]
    result = {
        "case": name,
        "images": peer.count,
        "multipath": statistics.median(round["multipath"] for round in rounds),
        "torchvision": statistics.median(round["torchvision"] for round in rounds),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "peak_memory_mib": max(memory),
    }
    if not options.json:
        print(
            f"{name}: {result['multipath']:.0f} images/s, torchvision {result['torchvision']:.0f}; "
            f"{result['ratio']:.2f} times ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} rounds); "
            f"peak memory {result['peak_memory_mib']} MiB",
            flush=True,
        )
    return result


def enlarge(folder: Path, to: Path, count: int) -> Path:
    """Photos of mixed sizes, 300 to 600 pixels on the shorter side, out of small ones. Both splits have all classes."""
    chance = random.Random(0)
    files = sorted((folder / "train").glob("*/*"))
    for number, file in enumerate(chance.sample(files, min(count, len(files)))):
        image = Image.open(file).convert("RGB")
        scale = chance.randint(300, 600) / min(image.size)
        image = image.resize([round(side * scale) for side in image.size], Image.BICUBIC)
        for split in ["train"] if number % 50 else ["train", "val"]:
            target = to / split / file.parent.name / f"{file.stem}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            image.save(target, quality=90)
    for name in {file.parent.name for file in files}:
        (to / "val" / name).mkdir(parents=True, exist_ok=True)
    return to


def link(folder: Path, to: Path, count: int) -> Path:
    """Very many files, as links to few."""
    files = sorted((folder / "train").glob("*/*"))
    for number in range(count):
        file = files[number % len(files)]
        target = to / ("val" if number % 100 == 99 else "train") / file.parent.name / f"{number:06}.JPEG"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)
    return to


def many(options: argparse.Namespace, folder: Path) -> dict:
    """The listing is in the page cache after the first start, which is not counted."""
    starts = [ours(options, folder, size=112, passes=0) for _ in range(options.rounds + 1)][1:]
    result = {
        "case": "many",
        "images": starts[0]["images"],
        "open_seconds": statistics.median(start["open_seconds"] for start in starts),
        "first_batch_seconds": statistics.median(start["first_batch_seconds"] for start in starts),
        "all_seconds": [start["first_batch_seconds"] for start in starts],
    }
    if not options.json:
        every = result["all_seconds"]
        print(
            f"many: {result['images']} files, {result['first_batch_seconds']:.2f} s to the first batch "
            f"({min(every):.2f} to {max(every):.2f}), {result['open_seconds']:.2f} s of it to open the folder",
            flush=True,
        )
    return result


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    cases = []
    if options.cifar:
        cases.append(interleaved("cifar", options, Peer(cifar(options.cifar), 0, options.workers), options.cifar, 0))
    if options.folder:
        peer = Peer(photos(options.folder, 112), options.images, options.workers)
        cases.append(interleaved("folder", options, peer, options.folder, 112))
        if options.packed:
            cases.append(interleaved("packed", options, peer, options.packed, 112))
        # Beside the folder, where links can be made.
        scratch = Path(tempfile.mkdtemp(prefix="data_loading-", dir=options.scratch))
        try:
            mixed = enlarge(options.folder, scratch / "mixed", options.mixed)
            cases.append(interleaved("mixed", options, Peer(photos(mixed, 112), 0, options.workers), mixed, 112))
            cases.append(many(options, link(options.folder, scratch / "many", options.many)))
        finally:
            shutil.rmtree(scratch)
    if options.json:
        versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "pillow": Image.__version__}
        machine = {"processor": processor(), "system": platform.platform()}
        print(json.dumps({"cases": cases, "versions": versions, "machine": machine}))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cifar", type=Path, help="folder of CIFAR-10's binary files")
    parser.add_argument("--folder", type=Path, help="folder with train/ and val/, each with a folder of JPEGs per class")
    parser.add_argument("--packed", type=Path, help="what `mp-train data pack` made of that folder")
    parser.add_argument("--images", type=int, default=0, help="only the first so many images of the folder; 0: all")
    parser.add_argument("--mixed", type=int, default=2000, help="photos to make for the case `mixed`")
    parser.add_argument("--many", type=int, default=100_000, help="files to link for the case `many`")
    parser.add_argument("--scratch", type=Path, help="where to make them: on the folder's file system")
    parser.add_argument("--workers", type=int, default=2, help="torchvision's processes, our threads")
    parser.add_argument("--rounds", type=int, default=5, help="how often each side has its turn")
    parser.add_argument("--load-speed", type=Path, default=REPOSITORY / "target/release/examples/load_speed")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    options = parser.parse_args()
    if not options.load_speed.exists():
        parser.error(f"no {options.load_speed}: run `cargo build --release -p mp-data --example load_speed`")
    if not (options.cifar or options.folder):
        parser.error("nothing to time: give --cifar, --folder or both")
    return options


if __name__ == "__main__":
    main()
