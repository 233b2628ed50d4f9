"""Writes the valid and the plainly bad inputs that the fuzz targets start from."""

import gzip
import io
import json
import pathlib
import struct
import tarfile
import zipfile
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
jpegs = ["baseline.jpg", "progressive.jpg", "tall-420.jpg", "tall-grey.jpg"]
for name in [*jpegs, "palette.png", "lossy.webp", "lossless.webp", "palette.bmp"]:
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


def pickled(labels, label):
    """`{labels: [label], 'data': array of one image}`, as Python 2 wrote it."""
    name = b"U" + bytes([len(labels)]) + labels
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85U\1b\x87R(K\1K\1M\0\x0c\x86"
    dtype = b"cnumpy\ndtype\nU\2u1K\0K\1\x87R(K\3U\1|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    data = b"\x89T" + struct.pack("<I", len(record)) + record
    return b"\x80\2}q\1(" + name + b"]q\2K" + bytes([label]) + b"aU\4data" + array + dtype + data + b"tbu."


write("pickle", "valid_python2", pickled(b"fine_labels", 99))
write("pickle", "bad_global", b"\x80\2cos\nsystem\n(U\4truetR.")
write("pickle", "bad_label", pickled(b"fine_labels", 100))
write("pickle", "bad_huge_string", b"\x80\2}(U\4dataT\xff\xff\xff\x7fabcu.")
write("pickle", "bad_depth", b"\x80\2" + b"](" * 3000)
write("pickle", "bad_memo", b"\x80\2]" + b"r\xff\xff\xff\xff" + b".")


def tar(members):
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    # Without the padding to 10 kB.
    size = sum(512 + (len(content) + 511) // 512 * 512 for _, content in members)
    return target.getvalue()[: size + 1024]


batches = [f"cifar-10-batches-bin/data_batch_{n}.bin" for n in range(1, 6)] + ["cifar-10-batches-bin/test_batch.bin"]
write("cifar_archive", "valid_binary", packed(tar([(name, bytes([3]) + record) for name in batches])))
write("cifar_archive", "bad_missing", packed(tar([(name, bytes([3]) + record) for name in batches[1:]])))
hundred = [("cifar-100-python/train", pickled(b"fine_labels", 9)), ("cifar-100-python/test", pickled(b"fine_labels", 0))]
write("cifar_archive", "valid_pickled", packed(tar(hundred + [("cifar-100-python/meta", b"")])))
write("cifar_archive", "bad_cut", packed(tar(hundred))[:-50])


def npy(descr, sizes, data):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({', '.join(map(str, sizes))},), }}"
    header = header.ljust(117).encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + data


x, y = npy("|u1", [2, 2, 3], bytes(range(12))), npy("<i8", [2], struct.pack("<qq", 0, 1))
write("npy", "valid_pair", idx(y, x))
write("npy", "bad_huge", idx(y, npy("|u1", [2**40, 2**40], b"abc")))
write("npy", "bad_object", idx(npy("|O", [2], b"\x80\2.").ljust(20), x))
write("npy", "bad_negative", idx(npy("<i8", [2], struct.pack("<qq", 0, -1)), x))


def archive(members, method):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, method)
    return target.getvalue()


arrays = [("x_train.npy", x), ("y_train.npy", y)]
write("npz", "valid_stored", archive(arrays, zipfile.ZIP_STORED))
write("npz", "valid_deflated", archive(arrays, zipfile.ZIP_DEFLATED))
bomb = npy("|u1", [2, 1024, 1024], bytes(1 << 21))
write("npz", "bad_labels_missing", archive(arrays[:1], zipfile.ZIP_STORED))
write("npz", "bad_bomb", archive([("x_train.npy", bomb[:-1]), arrays[1]], zipfile.ZIP_DEFLATED))
write("npz", "bad_cut", archive(arrays, zipfile.ZIP_STORED)[:-30])

photo, drawing = ((pictures / name).read_bytes() for name in ["baseline.jpg", "palette.png"])
write("shard", "valid_two", tar([("0.jpg", photo), ("0.cls", b"0"), ("1.png", drawing), ("1.cls", b"1\n")]))
write("shard", "bad_gap", tar([("0.jpg", photo), ("0.cls", b"1")]))
write("shard", "bad_label", tar([("0.jpg", photo), ("0.cls", b"cat")]))
write("shard", "bad_cut", tar([("0.jpg", photo), ("0.cls", b"0")])[:900])


def mpd(encoded, shape, images, labels, valid=0):
    """One training image, `valid` validation images, which come last; the others are test images."""
    meta = {"name": "m", "classes": ["a", "b"], "mean": [0.5] * 3, "std": [0.5] * 3}
    meta = json.dumps(meta | {"valid": valid} if valid else meta).encode()
    index, start = (64 + len(meta) + 7) // 8 * 8, 4096
    head = struct.pack("<8sIIIIIIQQQQ", b"\x89MPD\r\n\x1a\n", 2 if valid else 1, encoded, *shape, 0, 1,
                       len(images) - 1 - min(valid, len(images) - 1), len(meta), start)
    head += meta + bytes(index - 64 - len(meta))
    at = start
    for image, label in zip(images, labels):
        head += struct.pack("<QIIII", at, len(image), label, zlib.crc32(image), 0)
        at += len(image)
    head += bytes(start - len(head))
    head = head[:28] + struct.pack("<I", zlib.crc32(head)) + head[32:]
    return head + b"".join(images)


pixels = mpd(0, (2, 2, 3), [bytes(range(12)), bytes(12)], [0, 1])
write("packed", "valid_pixels", pixels)
write("packed", "valid_encoded", mpd(1, (0, 0, 3), [photo, drawing], [1, 0]))
write("packed", "bad_checksum", pixels[:70] + b"?" + pixels[71:])
write("packed", "bad_image", pixels[:-1] + b"?")
write("packed", "bad_cut", pixels[:-1])
write("packed", "bad_magic", pixels[:40])
write("packed", "valid_three", mpd(0, (2, 2, 3), [bytes(range(12)), bytes(12), bytes(12)], [0, 1, 1], 1))
write("packed", "bad_valid", mpd(0, (2, 2, 3), [bytes(range(12)), bytes(12)], [0, 1], 1 << 40))

write("list", "valid_two", b"id,label\n1,cat\n2,dog\n")
write("list", "valid_spreadsheet", b'\xef\xbb\xbfFile Name;Class;width\r\n"images/1.jpg";"a;b";8\r\n2.jpg;c;8\r\n')
write("list", "valid_split", b"file,label,split\n1,0,train\n2,1,train\n3.jpg,1,val\n")
write("list", "bad_empty", b"")
write("list", "bad_columns", b"label,pixel0,pixel1\n0,1,2\n")
write("list", "bad_missing", b"id,label\n1,cat\n9,dog\n")
write("list", "bad_twice", b"id,label\n1,cat\n1.jpg,dog\n")
write("list", "bad_quote", b'id,label\n1,cat\n"2,dog\n')
write("list", "bad_bytes", b"id,label\n1,\xff\xfe\n2,dog\n")
write("list", "bad_outside", b"id,label\n1,cat\n../../../etc/passwd,dog\n")
