"""Reads a packed file with NumPy: python read_packed.py FILE prints what is in it. The format: docs/src/data-formats.md."""

import json
import sys
import zlib

import numpy as np

HEADER = np.dtype([("magic", "S8"), ("version", "<u4"), ("encoded", "<u4"), ("shape", "<u4", 3), ("checksum", "<u4"),
                   ("train", "<u8"), ("test", "<u8"), ("meta", "<u8"), ("data", "<u8")])
ENTRY = np.dtype([("offset", "<u8"), ("length", "<u4"), ("label", "<u4"), ("checksum", "<u4"), ("zero", "<u4")])


def read(path):
    """Names, labels and images of the training, validation and test split: an array [B, H, W, C], or the bytes of each picture."""
    data = np.memmap(path, np.uint8, "r")
    header = data[:64].view(HEADER)[0]
    assert header["magic"] == b"\x89MPD\r\n\x1a\n" and header["version"] in (1, 2)
    head = data[: header["data"]].copy()
    head[28:32] = 0
    assert zlib.crc32(head) == header["checksum"]
    meta = json.loads(data[64 : 64 + int(header["meta"])].tobytes())
    start = (64 + int(header["meta"]) + 7) // 8 * 8
    train, test = int(header["train"]), int(header["train"] + header["test"])
    count = test + meta.get("valid", 0)
    index = data[start : start + count * ENTRY.itemsize].view(ENTRY)
    if header["encoded"]:
        images = [data[e["offset"] : int(e["offset"]) + int(e["length"])].tobytes() for e in index]
    else:
        images = data[header["data"] :].reshape(count, *header["shape"])
    assert all(zlib.crc32(bytes(image) if header["encoded"] else image) == e["checksum"] for image, e in zip(images, index))
    return meta, *((index["label"][part], images[part]) for part in (slice(train), slice(test, None), slice(train, test)))


if __name__ == "__main__":
    meta, *splits = read(sys.argv[1])
    print(meta["name"], *meta["classes"])
    for labels, images in splits:
        print(len(labels), labels.tolist(), *(zlib.crc32(image) for image in images))
