"""Writes the valid and the plainly bad inputs that the fuzz targets start from."""

import gzip
import pathlib
import struct
import zlib

HERE = pathlib.Path(__file__).parent


def write(target, name, content):
    (HERE / target).mkdir(exist_ok=True)
    (HERE / target / name).write_bytes(content)


def packed(content):
    return gzip.compress(content, mtime=0)


def idx(labels, images):
    """As `parsers::idx` takes it: the size of the label file, the label file, the image file."""
    return bytes([len(labels)]) + labels + images


labels = struct.pack(">II", 0x801, 2) + bytes([0, 1])
images = struct.pack(">IIII", 0x803, 2, 2, 3) + bytes(range(12))
write("idx", "valid_plain", idx(labels, images))
write("idx", "valid_gzip", idx(packed(labels), packed(images)))
write("idx", "bad_huge_header", idx(labels, struct.pack(">IIII", 0x803, *[0xFFFFFFFF] * 3)))
write("idx", "bad_gzip_cut", idx(labels, packed(images)[:-9]))
write("idx", "bad_empty", b"\0")
# 2 MB of zeros in 2 kB: more than its header promises.
write("idx", "bad_bomb", idx(labels, packed(images + bytes(1 << 21))))

record = bytes(i * 7 % 256 for i in range(3072))
write("cifar_binary", "valid_ten", bytes([3]) + record)
write("cifar_binary", "valid_hundred", bytes([19, 99]) + record)
write("cifar_binary", "bad_label", bytes([10]) + record)
write("cifar_binary", "bad_cut", (bytes([3]) + record)[:-2])
write("cifar_binary", "bad_empty", b"")

datasets = HERE.parents[3] / "datasets"
for name in ["mnist", "cifar10"]:
    write("manifest", f"valid_{name}", (datasets / f"{name}.toml").read_bytes())
mnist = (datasets / "mnist.toml").read_bytes()
write("manifest", "bad_name", mnist.replace(b'"mnist"', b'"../mnist"', 1))
write("manifest", "bad_field", mnist.replace(b"[[sources]]", b"[[source]]", 1))
write("manifest", "bad_bytes", b"name = \xff\xfe")


def png(width, height, data, bits=8, colour=2):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


pictures = HERE.parent / "pictures"
for name in ["baseline.jpg", "progressive.jpg", "palette.png", "lossy.webp", "lossless.webp", "palette.bmp"]:
    write("decode", f"valid_{name}", (pictures / name).read_bytes())
write("decode", "bad_huge.png", png(50_000, 50_000, b"\0" * 1000))
write("decode", "bad_bomb.png", png(9000, 9000, bytes(9000 * (9000 * 3 + 1) // 100)))
write("decode", "bad_cut.jpg", (pictures / "baseline.jpg").read_bytes()[:200])
write("decode", "bad_empty", b"")
write("decode", "bad_gif", b"GIF89a" + bytes(20))


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def array(name, sizes, stored):
    """A numeric array of a MATLAB 5 file."""
    flags, dimensions = struct.pack("<II", 9, 0), struct.pack(f"<{len(sizes)}I", *sizes)
    short_name = struct.pack("<HH4s", 1, len(name), name)
    return element(14, element(6, flags) + element(5, dimensions) + short_name + stored)


def packed_array(array):
    data = zlib.compress(array, 9)
    return struct.pack("<II", 15, len(data)) + data


head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
pixels = array(b"X", [32, 32, 3, 1], element(2, record))
label = array(b"y", [1, 1], element(9, struct.pack("<d", 10)))
write("svhn", "valid_plain", head + pixels + label)
write("svhn", "valid_packed", head + packed_array(label) + packed_array(pixels))
write("svhn", "bad_head", b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
write("svhn", "bad_huge", head + array(b"X", [0xFFFFFFFF] * 4, element(2, record)) + label)
write("svhn", "bad_bomb", head + packed_array(array(b"X", [32, 32, 3, 1], element(2, bytes(1 << 21)))) + label)
write("svhn", "bad_cut", (head + pixels + label)[:-3])

write("stl10", "valid_one", bytes([7]) + bytes(i // 96 % 96 for i in range(96 * 96 * 3)))
write("stl10", "bad_label", bytes([11]) + bytes(96 * 96 * 3))
write("stl10", "bad_cut", bytes([1]) + bytes(96 * 96))
