#!/usr/bin/env python3
"""Forward passes, and the way from JPEG files to labels, of headstart and its peers in turn, two threads.

    python bench/inference.py --bench build/bench/bench [--networks resnet18 ...] [--batches 32 1] [--rounds 5] [--out runs/bench-inference]
    python bench/inference.py --only labels --headstart HEADSTART --photos PHOTOS/test --model head/model.safetensors

--bench: the folder of network_bench and (where oneDNN is installed) convolutions_bench. --model: made by `headstart train PHOTOS --recipe head
--out head`. From JPEG to label a peer's rate starts where its model is ready, headstart's where its process starts; "start to end" has both from
the start. What OUT holds is added to; --rounds 0 only prints. Requirements: bench/install.sh.
"""
import json
import pathlib
import statistics
import sys

from rounds import Program, compare_networks, folder, in_turn, measure, parser, spread, table

HERE = pathlib.Path(__file__).parent
PEERS = {"pytorch": "PyTorch bfloat16, channels_last, norms folded", "pytorch-compiled": "the same, compiled and frozen",
         "onnxruntime": "ONNX Runtime float32", "openvino-float32": "OpenVINO float32", "openvino-bfloat16": "OpenVINO bfloat16"}


def forward_programs(arguments, network, batch):
    own = [arguments.bench / "network_bench", "forward", network]
    programs = {f"headstart, {dtype}": Program([*own, dtype, batch, arguments.seconds]) for dtype in ("bfloat16", "float32")}
    for how, name in PEERS.items():
        programs[name] = Program([sys.executable, HERE / "peers.py", "forward", how, network, batch, arguments.seconds])
    limit = arguments.bench / "convolutions_bench"
    if limit.exists():
        for dtype in ("bfloat16", "float32"):
            programs[f"the convolutions alone, oneDNN, {dtype}"] = Program([limit, "forward", network, dtype, batch, arguments.seconds])
    return programs


class Predict:
    """`headstart predict`, its whole process; the labels go to a file as the peers'."""

    def __init__(self, arguments, photos, count, labels, options):
        self.labels, self.rows = labels, labels.with_suffix(".jsonl")
        self.program = Program([arguments.headstart, "predict", arguments.model, photos, "--threads", 2, "--json", "--output", self.rows, "--quiet",
                                *options], images=count)

    def measure(self):
        result = measure(self.program)
        rows = [json.loads(line) for line in self.rows.read_text().splitlines()]
        self.labels.write_text("".join(f"{row['path']}\t{row['label']}\n" for row in rows))
        return result


def label_programs(arguments, photos, count, out):
    programs = {f"headstart, {dtype}": Predict(arguments, photos, count, out / f"headstart-{dtype}.labels", ["--precision", dtype])
                for dtype in ("bfloat16", "float32")}
    for how, name in PEERS.items():
        programs[name] = Program([sys.executable, HERE / "peers.py", "label", how, arguments.model, photos, out / f"{how}.labels"])
    return programs


def compare_labels(out, reference="openvino-float32"):
    """How many photos are named otherwise than by a peer in float32."""
    named = {}
    for file in sorted(out.glob("*.labels")):
        named[file.stem] = {pathlib.Path(path).parts[-2:]: label for path, label in (line.split("\t") for line in file.read_text().splitlines())}
    if reference not in named:
        return
    classes = sorted({label for name, labels in named.items() if name.startswith("headstart") for label in labels.values()})
    for name, labels in named.items():
        number = {photo: label if label.isdigit() else str(classes.index(label)) for photo, label in labels.items()}
        print(f"{name}: {sum(number[photo] != label for photo, label in named[reference].items())} of {len(number)} photos named otherwise "
              f"than by {reference}")


def photos_to_labels(arguments):
    photos = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    out = folder(arguments.out / arguments.model.parent.name)
    results = in_turn(label_programs(arguments, arguments.photos, len(photos), out), arguments.rounds, out / "labels.json")
    print(f"\n### {len(photos)} photos to labels\n")
    table(results, "headstart, bfloat16")
    print()
    compare_labels(out)
    one = in_turn(label_programs(arguments, photos[0], 1, folder(out / "one")), arguments.rounds, out / "one.json")
    print("\n### Start to end, seconds\n\n| | one photo | all photos |\n|---|---|---|")
    for name, runs in one.items():
        print(f"| {name} | {spread([run['wall'] for run in runs], 2)} | {statistics.median(run['wall'] for run in results[name]):.1f} |")


def main():
    options = parser(__doc__, batches=[32, 1], rounds=5, seconds=3, out="runs/bench-inference")
    options.add_argument("--photos", type=pathlib.Path)
    options.add_argument("--model", type=pathlib.Path)
    options.add_argument("--only", choices=["forward", "labels"])
    arguments = options.parse_args()
    if arguments.only != "labels":
        compare_networks(arguments, "forward", forward_programs, "headstart, bfloat16")
    if arguments.model and arguments.only != "forward":
        photos_to_labels(arguments)


if __name__ == "__main__":
    main()
