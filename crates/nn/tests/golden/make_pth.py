"""Writes the small files of PyTorch that `pytorch.rs` reads: `python make_pth.py` in this folder, with PyTorch 2.13."""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

import torch


def tensors():
    return OrderedDict(
        float=torch.tensor([[0.5, -1.0, 2.0], [3.0, 4.0, 5.0]]),
        double=torch.tensor([0.1], dtype=torch.float64),
        half=torch.tensor([1.5, -2.0], dtype=torch.float16),
        bfloat16=torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        long=torch.tensor(-(2**40)),
        int=torch.tensor([2**30, -1], dtype=torch.int32),
        short=torch.tensor([300, -1], dtype=torch.int16),
        char=torch.tensor([127, -128], dtype=torch.int8),
        byte=torch.tensor([255, 0], dtype=torch.uint8),
        bool=torch.tensor([True, False]),
        empty=torch.zeros(0, 3),
    )


def views():
    base = torch.arange(12.0).reshape(3, 4)
    return OrderedDict(
        whole=base,
        transposed=base.t(),
        column=base[:, 1],
        corner=base[1:, 2:],
        last=base[2, 3],
        repeated=base[0, 1].expand(2, 2),
        channels_last=torch.arange(8.0).reshape(1, 2, 2, 2).to(memory_format=torch.channels_last),
    )


def wrapped():
    network = torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.BatchNorm1d(1))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 3.0]]))
        network[0].bias.fill_(4.0)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.eye(2)).sum().backward()
    optimiser.step()
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[2.0, 3.0]]))
        network[0].bias.fill_(4.0)
    state = OrderedDict((f"module.{name}", tensor) for name, tensor in network.state_dict().items())
    state._metadata = network.state_dict()._metadata
    return {
        "epoch": 3,
        "best_prec1": 91.25,
        "arch": None,
        "state_dict": state,
        "optimizer": optimiser.state_dict(),
        "ema": {"0.weight": torch.zeros(1)},
    }


class AsPython2:
    """An ordered dictionary as Python 2 pickles it: made of a list of pairs."""

    def __reduce__(self):
        return OrderedDict, ([["a", torch.tensor([1.0])], ["b", torch.tensor([2.0])]],)


class Harmful:
    def __reduce__(self):
        import posix

        return posix.system, ("true",)


def legacy(content, name, **options):
    torch.save(content, name, _use_new_zipfile_serialization=False, **options)


def archive(name, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(name, "w", compression) as file:
        for member, content in members.items():
            file.writestr(zipfile.ZipInfo(f"archive/{member}"), content, compression)


def members(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    with zipfile.ZipFile(buffer) as file:
        return {info.filename.split("/", 1)[1]: file.read(info) for info in file.infolist()}


def main():
    torch.manual_seed(0)
    torch.save(tensors(), "tensors.pth")
    legacy(tensors(), "tensors_legacy.pth")
    torch.save(tensors(), "tensors_protocol4.pth", pickle_protocol=4)
    torch.save(views(), "views.pth")
    legacy(views(), "views_legacy.pth")
    torch.save(wrapped(), "wrapped.pth")
    legacy(wrapped(), "wrapped_legacy.pth")
    model = {"_orig_mod.module.weight": torch.nn.Parameter(torch.tensor([7.0])), "_orig_mod.module.steps": 9}
    torch.save({"model": model, "model_ema": None}, "compiled.pth")
    torch.save(AsPython2(), "python2.pth")

    one = {"w": torch.tensor([1.0, 2.0])}
    torch.serialization.set_crc32_options(False)
    torch.save(one, "without_checksums.pth")
    torch.serialization.set_crc32_options(True)

    torch.save(Harmful(), "bad_reduce.pth")
    legacy(Harmful(), "bad_reduce_legacy.pth")
    torch.save(torch.nn.Linear(1, 1), "bad_module.pth")
    torch.save({"w": torch.zeros(1).expand(1 << 20)}, "bad_unfolding.pth")
    torch.save([torch.zeros(1)], "bad_list.pth")
    torch.save({"epoch": 3, "names": ["a"]}, "bad_no_tensors.pth")
    parts = members(one)
    archive("bad_compressed.pth", parts, zipfile.ZIP_DEFLATED)
    archive("bad_big_endian.pth", parts | {"byteorder": b"big"})
    archive("bad_short_storage.pth", parts | {"data/0": parts["data/0"][:4]})
    archive("bad_no_storage.pth", {name: content for name, content in parts.items() if name != "data/0"})
    archive("bad_no_pickle.pth", {name: content for name, content in parts.items() if name != "data.pkl"})
    archive("bad_script.pth", parts | {"constants.pkl": b"\x80\x02)."})
    # A view of two numbers from the second on: K 1 (the offset) where K 0 stood, after the storage.
    archive("bad_view.pth", parts | {"data.pkl": parts["data.pkl"].replace(b"QK\x00", b"QK\x01")})
    with open("bad_pickle.pth", "wb") as file:
        pickle.dump({"w": [1.0]}, file, protocol=2)
    with open("tensors_legacy.pth", "rb") as file:
        content = file.read()
    with open("bad_big_endian_legacy.pth", "wb") as file:
        file.write(content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
    with open("bad_count_legacy.pth", "wb") as file:
        # The last storage says that it holds 2^60 numbers.
        file.write(content[: content.rfind(struct.pack("<q", 2))] + struct.pack("<q", 1 << 60))


if __name__ == "__main__":
    sys.exit(main())
