#!/usr/bin/env python3
"""One measurement of a peer in a process of its own; bench/training.py and bench/inference.py run these in turn.

    python bench/peers.py step    book|eager|autocast|compiled NETWORK BATCH SECONDS
    python bench/peers.py epoch   NETWORK BATCH PHOTOS BATCHES
    python bench/peers.py forward pytorch|pytorch-compiled|onnxruntime|openvino-float32|openvino-bfloat16 NETWORK BATCH SECONDS
    python bench/peers.py label   ENGINE MODEL PHOTOS [LABELS]

NETWORK: resnet18 or efficientnet_lite0. MODEL: model.safetensors of a headstart run; LABELS: a file for PATH<tab>CLASS. Each prints a line
as network_bench does. `label` goes from JPEG files to classes, Pillow decoding on two threads while the network runs; its rate starts where
the model is ready.
"""
import concurrent.futures
import json
import pathlib
import resource
import statistics
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")
THREADS, SIDE = 2, 224


def network(name, classes=2, plain=False):
    """As published; unless plain, with padding that is the same on all sides left to the convolutions, which is faster."""
    import torch
    if name == "resnet18":
        import torchvision
        return torchvision.models.resnet18(num_classes=classes)
    import efficientnet_lite_pytorch
    net = efficientnet_lite_pytorch.EfficientNet.from_name("efficientnet-lite0", num_classes=classes, image_size=SIDE, dropout_rate=0.0,
                                                           drop_connect_rate=0.0)
    for module in net.modules():
        padding = getattr(module, "static_padding", None)
        if not plain and isinstance(padding, torch.nn.ZeroPad2d) and len(set(padding.padding)) == 1:
            module.padding, module.static_padding = (padding.padding[0],) * 2, torch.nn.Identity()
    return net


def report(images, times, processor):
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{images / statistics.median(times):.2f} images/s, {1e3 * processor / (images * len(times)):.2f} ms of processor time an image, {mib} MiB")


def measure(step, images, seconds, warm_up=2):
    for _ in range(warm_up):
        step()
    times, processor = [], time.process_time()
    while sum(times) < seconds:
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    report(images, times, time.process_time() - processor)


def trainer(how, name):
    import torch
    net = network(name, plain=how == "book").train()
    dtype = torch.bfloat16 if how in ("eager", "compiled") else torch.float32
    if how != "book":
        net = net.to(dtype=dtype, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0 if how == "book" else 0.9, weight_decay=1e-4)
    call = torch.compile(net) if how == "compiled" else net

    def step(images, labels):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=how == "autocast"):
            loss = torch.nn.functional.cross_entropy(call(images), labels)
        loss.backward()
        optimizer.step()
    return step, dtype


def measure_step(how, name, batch, seconds):
    import torch
    step, dtype = trainer(how, name)
    images = torch.randn(int(batch), 3, SIDE, SIDE)
    if how != "book":
        images = images.to(dtype=dtype, memory_format=torch.channels_last)
    labels = torch.randint(0, 2, (int(batch),))
    measure(lambda: step(images, labels), int(batch), float(seconds))


def measure_epoch(name, batch, photos, batches):
    """The book's script as written: float32, its transforms and its DataLoader, which decodes in the process that trains."""
    import torch
    from book import loaders
    step, _ = trainer("book", name)
    loader = loaders(pathlib.Path(photos), 1, int(batch))[0]
    wall = processor = 0
    for i, (images, labels) in enumerate(loader):
        if i == 1:  # the first step makes the memory
            wall, processor = time.perf_counter(), time.process_time()
        step(images, labels)
        if i == int(batches):
            break
    report(int(batch) * i, [time.perf_counter() - wall], time.process_time() - processor)


def engine(how, net, example):
    """A function from a float32 batch [N,3,224,224] to logits; NET is in evaluation mode."""
    import torch
    if how.startswith("pytorch"):
        from torch.fx.experimental.optimization import fuse
        import torch._inductor.config
        torch._inductor.config.freezing = True
        net = fuse(net).to(dtype=torch.bfloat16, memory_format=torch.channels_last)
        call = torch.compile(net) if how == "pytorch-compiled" else net

        def forward(images):
            with torch.inference_mode() if how == "pytorch" else torch.no_grad():
                return call(images.to(dtype=torch.bfloat16, memory_format=torch.channels_last)).float()
        return forward
    with tempfile.TemporaryDirectory() as place:
        file = pathlib.Path(place) / "network.onnx"
        torch.onnx.export(net, example, str(file), dynamo=False, input_names=["images"], output_names=["logits"],
                          dynamic_axes={"images": {0: "n"}, "logits": {0: "n"}})
        if how == "onnxruntime":
            import onnxruntime
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = THREADS
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads sleep, as everybody's
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
            return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        import openvino
        core = openvino.Core()
        model = core.read_model(file)
    model.reshape([len(example), 3, SIDE, SIDE])
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16" if how.endswith("bfloat16") else "f32",
                                                 "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS})
    return lambda images: torch.from_numpy(compiled([images.numpy()])[0])


def measure_forward(how, name, batch, seconds):
    import torch
    images = torch.randn(int(batch), 3, SIDE, SIDE)
    forward = engine(how, network(name).eval(), images)
    measure(lambda: forward(images), int(batch), float(seconds), warm_up=3)


def read_model(file):
    """The network of a headstart model file in evaluation mode, and the preprocessing that it asks for."""
    import torch
    data = pathlib.Path(file).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    about = header.pop("__metadata__")
    types = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}
    tensors = {name: torch.frombuffer(bytearray(data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]]),
                                      dtype=types[entry["dtype"]]).reshape(entry["shape"]) for name, entry in header.items()}
    resnet = "fc.weight" in tensors
    net = network("resnet18" if resnet else "efficientnet_lite0", len(tensors["fc.weight" if resnet else "_fc.weight"]))
    missing, unexpected = net.load_state_dict(tensors, strict=False)
    if unexpected or any(not name.endswith("num_batches_tracked") for name in missing):
        raise RuntimeError(f"{file}: missing {missing}, unexpected {unexpected}")
    return net.eval(), json.loads(about["headstart.preprocessing"])


def preprocessing(model):
    from torchvision import transforms as t
    interpolation = t.InterpolationMode.BILINEAR if model["interpolation"] == "bilinear" else t.InterpolationMode.BICUBIC
    return t.Compose([t.Resize(model["resize_size"], interpolation), t.CenterCrop(SIDE), t.ToTensor(), t.Normalize(model["mean"], model["std"])])


def measure_labels(how, model, photos, labels=None, batch=32):
    import torch
    from PIL import Image
    net, preparation = read_model(model)
    transform = preprocessing(preparation)
    photos = pathlib.Path(photos)
    paths = [photos] if photos.is_file() else sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    batch = min(batch, len(paths))
    forward = engine(how, net, torch.zeros(batch, 3, SIDE, SIDE))
    if len(paths) > 1:
        for _ in range(2):
            forward(torch.zeros(batch, 3, SIDE, SIDE))

    def view(path):
        with open(path, "rb") as file:
            return transform(Image.open(file).convert("RGB"))
    begin, processor, classes = time.perf_counter(), time.process_time(), []
    with concurrent.futures.ThreadPoolExecutor(THREADS) as threads:
        views = threads.map(view, paths)
        for start in range(0, len(paths), batch):
            images = torch.stack([next(views) for _ in paths[start:start + batch]])
            if len(images) < batch:  # engines that are compiled for a batch
                images = torch.cat([images, images.new_zeros(batch - len(images), *images.shape[1:])])
            classes += forward(images).argmax(1).tolist()[:len(paths) - start]
    report(len(paths), [time.perf_counter() - begin], time.process_time() - processor)
    if labels:
        pathlib.Path(labels).write_text("".join(f"{path}\t{number}\n" for path, number in zip(paths, classes)))


if __name__ == "__main__":
    import torch
    torch.set_num_threads(THREADS)
    {"step": measure_step, "epoch": measure_epoch, "forward": measure_forward, "label": measure_labels}[sys.argv[1]](*sys.argv[2:])
