"""Writes tests/golden/weights: small files by real torch.save and safetensors, and what is in them.

Usage: python tools/golden/weights.py [OUT]      needs torch, numpy, safetensors
expected.json: for each file its tensors in order: name, dtype (safetensors' names), shape, bytes (hex, row-major, little-endian).
"""
import collections
import json
import pathlib
import sys

import safetensors
import safetensors.torch
import torch

OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "tests/golden/weights")
NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}
expected = {}


def describe(state, strip=""):
    rows = []
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor):
            continue
        flat = tensor.detach().contiguous().flatten()
        data = flat.view(torch.uint8).numpy().tobytes().hex() if flat.numel() else ""
        rows.append({"name": name[len(strip):], "dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "bytes": data})
    return rows


def save(name, value, state, strip="", **options):
    torch.save(value, OUT / name, **options)
    expected[name] = describe(state, strip)


def all_kinds():
    torch.manual_seed(1)
    base = torch.arange(24, dtype=torch.float32)
    state = collections.OrderedDict()
    for dtype in NAMES:
        values = torch.tensor([[0, 1, 1], [1, 0, 0]], dtype=dtype) if dtype == torch.bool else torch.tensor([[0, 1, 2], [3, 100, 5]], dtype=dtype)
        state["kind." + NAMES[dtype]] = values
    state["scalar"] = torch.tensor(7)
    state["empty"] = torch.zeros(0, 3)
    state["shared.all"] = base
    state["shared.part"] = base[6:18].view(3, 4)
    state["shared.transposed"] = base.view(4, 6).t()
    state["shared.steps"] = base[1::5]
    state["expanded"] = torch.tensor([1.5, -2.5]).expand(3, 2)
    state["channels_last"] = torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    state["parameter"] = torch.nn.Parameter(torch.randn(3))
    state["frozen"] = torch.nn.Parameter(torch.randn(2, 2), requires_grad=False)
    tagged = torch.nn.Parameter(torch.randn(2))
    tagged.note = "attributes make torch.save write another constructor"
    state["tagged"] = tagged
    state["version"] = "not a tensor"
    return state


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    state = all_kinds()
    save("zip.pth", state, state)
    save("legacy.pth", state, state, _use_new_zipfile_serialization=False)
    small = {"weight": torch.randn(2, 3), "parameter": torch.nn.Parameter(torch.randn(2)), "half": torch.randn(4).half()}
    for protocol in (1, 3, 4, 5):
        save(f"zip_protocol{protocol}.pth", small, small, pickle_protocol=protocol)
    save("legacy_protocol4.pth", small, small, pickle_protocol=4, _use_new_zipfile_serialization=False)
    net = torch.nn.Sequential(collections.OrderedDict(conv=torch.nn.Conv2d(2, 3, 3), norm=torch.nn.BatchNorm2d(3)))
    save("module.pth", net.state_dict(), net.state_dict())  # OrderedDict with its _metadata attribute
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.randn(2, 2, 8, 8)).sum().backward()
    optimizer.step()
    wrapped = {"epoch": 3, "state_dict": net.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5, "device": torch.device("cpu"),
               "shape": torch.Size([1, 2]), "big": 10**30, "none": None, "set": {1, 2}}
    save("wrapped_state_dict.pth", wrapped, net.state_dict())
    parallel = {"module.backbone." + name: value for name, value in net.state_dict().items()}
    save("wrapped_model_prefixed.pth", {"model": parallel}, parallel, strip="module.backbone.")
    torch.serialization.set_crc32_options(False)
    save("zip_without_crc.pth", small, small)
    torch.serialization.set_crc32_options(True)
    plain = {name: value.detach().clone().contiguous() for name, value in state.items() if isinstance(value, torch.Tensor)}
    safetensors.torch.save_file(plain, OUT / "python.safetensors", metadata={"format": "pt", "note": "Käse \"quoted\""})
    expected["python.safetensors"] = describe(plain)
    torch.save({"z": torch.zeros(2, dtype=torch.complex64)}, OUT / "refused_complex.pth")
    torch.save(torch.nn.Linear(2, 2), OUT / "refused_whole_model.pth")
    torch.save(torch.zeros(2), OUT / "refused_bare_tensor.pth")
    torch.save({"epoch": 3, "lr": [0.1]}, OUT / "refused_no_tensors.pth")
    generator = {"generator": "tools/golden/weights.py", "python": sys.version.split()[0], "torch": torch.__version__, "safetensors": safetensors.__version__}
    (OUT / "expected.json").write_text(json.dumps({**generator, "files": expected}, indent=1) + "\n")


main()
