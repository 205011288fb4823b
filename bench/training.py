#!/usr/bin/env python3
"""The training step of headstart and of PyTorch in turn, two threads: images a second, processor time, peak memory; then whole epochs.

    python bench/training.py --bench build/bench/bench [--networks resnet18 ...] [--batches 32 128] [--rounds 3] [--out runs/bench-training]
    python bench/training.py --headstart HEADSTART --data PHOTOS [--weights resnet18.pth] [--only epoch]

--bench: the folder of network_bench and (where oneDNN is installed) convolutions_bench. --data: train/ and test/ of class folders; gives the
comparison end to end, `headstart train` against the book's script with its DataLoader. What OUT holds is added to; --rounds 0 only prints.
Requirements: bench/install.sh.
"""
import json
import pathlib
import shutil
import sys

from rounds import Program, compare_networks, folder, in_turn, measure, parser, table

HERE = pathlib.Path(__file__).parent
JEMALLOC = pathlib.Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
KEPT = {"LD_PRELOAD": str(JEMALLOC), "MALLOC_CONF": "oversize_threshold:1,metadata_thp:auto,dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always"}
PHOTOS_A_CLASS = 256  # of an epoch end to end


def step_programs(arguments, network, batch):
    def peer(how):
        return [sys.executable, HERE / "peers.py", "step", how, network, batch, arguments.seconds]
    own = [arguments.bench / "network_bench", "train", network, "bfloat16", batch, arguments.seconds]
    programs = {"headstart": Program(own),
                "PyTorch as the book, float32": Program(peer("book")),
                "PyTorch bfloat16, channels_last, default allocator": Program(peer("eager"))}
    if JEMALLOC.exists():
        programs["PyTorch bfloat16, channels_last, jemalloc"] = Program(peer("eager"), KEPT)
        programs["PyTorch bfloat16, channels_last, jemalloc, compiled"] = Program(peer("compiled"), KEPT)
    limit = arguments.bench / "convolutions_bench"
    if limit.exists():
        programs["the convolutions alone, oneDNN, bfloat16"] = Program([limit, *own[1:]])
    return programs


def small_copy(data, place):
    """So many photos that an epoch takes a minute, not five."""
    if not (place / "train").exists():
        for kind in sorted(path.name for path in (data / "train").iterdir()):
            for split, count in (("train", PHOTOS_A_CLASS), ("test", 8)):
                folder(place / split / kind)
                for photo in sorted((data / split / kind).iterdir())[:count]:
                    shutil.copy(photo, place / split / kind)
    return place


class Epochs:
    """`headstart train`: the second epoch's photos a second as its run.json says, like PyTorch's after its first step."""

    def __init__(self, arguments, network, photos, out):
        model = arguments.weights if network == "resnet18" else network
        self.out = out
        self.command = [arguments.headstart, "train", photos, "--model", model, "--batch-size", 128, "--epochs", 2, "--threads", 2, "--out", out,
                        "--validation-fraction", 0.05, "--seed", 1, "--recipe", "finetune", "--batch-norm", "train"]

    def measure(self):
        shutil.rmtree(self.out, ignore_errors=True)
        result = measure(Program(self.command, images=2 * 2 * PHOTOS_A_CLASS))
        return result | {"rate": json.loads((self.out / "run.json").read_text())["history"][-1]["photos_per_second"]}


def compare_epochs(arguments):
    photos = small_copy(arguments.data, arguments.out / "photos")
    for network in arguments.networks:
        programs = {"headstart": Epochs(arguments, network, photos, arguments.out / "run"),
                    "PyTorch as the book, float32": Program([sys.executable, HERE / "peers.py", "epoch", network, 128, photos, 3])}
        print(f"\n### {network}, batch 128, from photos on disk\n")
        table(in_turn(programs, arguments.rounds, arguments.out / f"epoch-{network}.json"), "headstart")


def main():
    options = parser(__doc__, batches=[32, 128], rounds=3, seconds=4, out="runs/bench-training")
    options.add_argument("--data", type=pathlib.Path)
    options.add_argument("--weights", default="resnet18")
    options.add_argument("--only", choices=["step", "epoch"])
    arguments = options.parse_args()
    if arguments.only != "epoch":
        compare_networks(arguments, "step", step_programs, "headstart")
    if arguments.data and arguments.only != "step":
        compare_epochs(arguments)


if __name__ == "__main__":
    main()
