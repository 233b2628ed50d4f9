"""Writes the valid and the plainly bad inputs that the fuzz targets start from."""

import gzip
import pathlib
import struct

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
