#!/usr/bin/env python3
"""Golden values from MXNet itself: .params files, and the names of Gluon's networks.

    python tools/golden/gluon.py

needs mxnet 1.9.1 (which runs with numpy 1.23.5 on Python 3.8 to 3.11) and requests. It writes
    tests/golden/weights/gluon_*.params       small files; V2 and V3 by MXNet, V1 and older by the layout of its LegacyLoad
    tests/golden/weights/gluon_expected.json  for each its tensors in order: name, dtype (safetensors' names), shape, bytes (hex)
    tests/golden/model/gluon_names.json       the counted names of every network, in the order of their places' names
and makes sure that MXNet agrees with what model.py wrote with PyTorch's modules: the place names and shapes of NAME_tensors.json, and the
logits and gradients of NAME.json within float32's rounding.
"""
import json
import math
import os
import pathlib
import struct

os.environ["MXNET_STORAGE_FALLBACK_LOG_VERBOSE"] = "0"
os.environ["MXNET_MKLDNN_ENABLED"] = "0"  # its max pooling loses gradients outside training mode
import mxnet as mx
import numpy as np
from generated import generate, weight_range
from mxnet.gluon.model_zoo import vision

ROOT = pathlib.Path(__file__).parents[2] / "tests" / "golden"
TYPES = {"float32": ("F32", 0), "float64": ("F64", 1), "float16": ("F16", 2), "uint8": ("U8", 3), "int32": ("I32", 4), "int8": ("I8", 5),
         "int64": ("I64", 6)}
NETWORKS = ["resnet18_v1", "resnet18_v2", "resnet34_v1", "resnet34_v2", "resnet50_v1", "resnet50_v2"]
CLASSES = 5
GENERATOR = {"generator": "tools/golden/gluon.py", "mxnet": mx.__version__, "numpy": np.__version__}


def describe(arrays):
    return [{"name": name.split(":")[-1], "dtype": TYPES[str(a.dtype)][0], "shape": list(a.shape), "bytes": a.tobytes().hex()}
            for name, a in arrays.items()]


def arrays_of_all_types():
    values = {name: np.arange(6).reshape(2, 3).astype(name) for name in TYPES}
    return {f"kind.{name}": a for name, a in values.items()} | {"vector": np.float32([1.5, -2.5]), "deep": np.zeros((1, 2, 1, 2, 1), np.float32)}


def old_list(arrays, wide):
    """A file as MXNet before 0.12 wrote it: V1 (64-bit dimensions behind a magic number), or older (the rank, 32-bit dimensions)."""
    file = struct.pack("<QQQ", 0x112, 0, len(arrays))
    for a in arrays.values():
        head = struct.pack("<I", 0xF993FAC8) if wide else b""
        file += head + struct.pack(f"<I{a.ndim}{'q' if wide else 'I'}", a.ndim, *a.shape)
        file += struct.pack("<iii", 1, 0, TYPES[str(a.dtype)][1]) + a.tobytes()
    file += struct.pack("<Q", len(arrays))
    for name in arrays:
        file += struct.pack("<Q", len(name)) + name.encode()
    return file


def write_files(folder):
    expected = {}
    plain = arrays_of_all_types()
    nd = {name: mx.nd.array(a, dtype=a.dtype) for name, a in plain.items()}
    mx.nd.save(str(folder / "gluon_v2.params"), nd)
    expected["gluon_v2.params"] = describe(plain)
    exported = {"arg:conv0_weight": plain["kind.float32"], "aux:batchnorm0_running_mean": plain["vector"]}
    mx.nd.save(str(folder / "gluon_exported.params"), {name: mx.nd.array(a, dtype=a.dtype) for name, a in exported.items()})
    expected["gluon_exported.params"] = describe(exported)
    with mx.util.np_shape(True):
        numpy_like = plain | {"scalar": np.float32(7).reshape(()), "empty": np.zeros((0, 3), np.float32)}
        mx.nd.save(str(folder / "gluon_v3.params"), {name: mx.nd.array(a, dtype=a.dtype) if a.size > 1 else mx.np.array(a, dtype=a.dtype).as_nd_ndarray()
                                                     for name, a in numpy_like.items()})
    expected["gluon_v3.params"] = describe(numpy_like)
    for name, wide in (("gluon_v1.params", True), ("gluon_before_v1.params", False)):
        (folder / name).write_bytes(old_list(plain, wide))
        loaded = mx.nd.load(str(folder / name))
        assert list(loaded) == list(plain) and all((loaded[key].asnumpy() == plain[key]).all() for key in plain)
        expected[name] = describe(plain)
    (folder / "gluon_expected.json").write_text(json.dumps({**GENERATOR, "files": expected}, indent=1) + "\n")


def relative(actual, wanted):
    return np.abs(np.asarray(actual) - np.asarray(wanted)).max() / np.abs(wanted).max()


def check_values(name, net, golden):
    """MXNet's logits and gradients for the generated weights. Bounds: as the float32 test in tests/unit/model/golden_test.cpp."""
    places = net._collect_params_with_prefix()
    for key, parameter in places.items():
        shape = parameter.shape
        parameter.set_data(mx.nd.array(generate(key, int(np.prod(shape)), *weight_range(key, shape)).reshape(shape)))
    size = golden["size"]
    images = mx.nd.array(generate("input", 2 * 3 * size * size, -2.0, 2.0).reshape(2, 3, size, size))
    labels = mx.nd.array(golden["labels"])
    for mode, logit_bound, gradient_bound in (("eval", 5e-5, 5e-3), ("train", 2e-2, 0.25)):
        with mx.autograd.record(train_mode=mode == "train"):
            logits = net(images)
            loss = mx.gluon.loss.SoftmaxCrossEntropyLoss()(logits, labels).mean()
        loss.backward(train_mode=mode == "train")
        error = relative(logits.asnumpy(), golden[mode]["logits"])
        assert error <= logit_bound, (name, mode, error)
        trained = [(key, p.grad().asnumpy().astype(np.float64).ravel()) for key, p in places.items() if p.grad_req != "null"]
        wanted = golden[mode]["gradients"]
        assert len(trained) == len(wanted)
        dots = [g @ generate("probe:" + key, g.size, -1.0, 1.0) for key, g in trained]
        gradient_error = math.sqrt(sum((d - w[1]) ** 2 for d, w in zip(dots, wanted)) / sum(w[0] ** 2 for w in wanted))
        assert gradient_error <= gradient_bound, (name, mode, gradient_error)
        print(f"{name} {mode}: logits within {error:.1e}, gradients within {gradient_error:.1e} of PyTorch's")
    running = [(key, p.data().asnumpy().astype(np.float64).ravel()) for key, p in places.items() if "running_" in key]
    dots = [abs(v @ generate("probe:" + key, v.size, -1.0, 1.0) - w[1]) / w[0] for (key, v), w in zip(running, golden["running"])]
    print(f"{name}: running statistics within {max(dots):.1e}")


def write_names(folder):
    counted = {}
    for name in NETWORKS:
        net = vision.get_model(name, classes=CLASSES)
        net.initialize()
        net(mx.nd.zeros((1, 3, 32, 32)))
        places = net._collect_params_with_prefix()
        published = json.loads((folder / f"{name}_tensors.json").read_text())["tensors"]
        assert [[key, list(p.shape)] for key, p in places.items()] == published, name
        check_values(name, net, json.loads((folder / f"{name}.json").read_text()))
        counted[name] = [p.name[len(net.prefix):] for p in places.values()]
    (folder / "gluon_names.json").write_text(json.dumps({**GENERATOR, "names": counted}, separators=(",", ":")) + "\n")


write_files(ROOT / "weights")
write_names(ROOT / "model")
