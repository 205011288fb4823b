#!/usr/bin/env python3
"""The book's chapter, run by PyTorch and by headstart in turn, with several seeds: do they end alike?

    python bench/book.py --data PHOTOS --weights resnet18.pth [--seeds 3] [--scratch] [--out runs/bench-book]

PHOTOS holds train/ and test/ of class folders. PyTorch runs the chapter's own recipe (Dive into Deep Learning 13.2, PyTorch track) as its
listing writes it, float32 on the CPU; headstart runs `headstart book`, which also trains from random weights; with --scratch PyTorch does too.
What is finished in OUT is not repeated; the table goes to standard output. Requirements: bench/requirements.txt.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

EPOCHS, BATCH = 5, 128


def loaders(photos, seed, batch=BATCH):
    import torch
    from torchvision import datasets, transforms
    normalize = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    train = transforms.Compose([transforms.RandomResizedCrop(224), transforms.RandomHorizontalFlip(), transforms.ToTensor(), normalize])
    # The shorter side, as this edition's listing; the text's Resize([256, 256]) is headstart's --resize squash.
    test = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(), normalize])
    generator = torch.Generator().manual_seed(seed)
    return (torch.utils.data.DataLoader(datasets.ImageFolder(photos / "train", train), batch, shuffle=True, generator=generator),
            torch.utils.data.DataLoader(datasets.ImageFolder(photos / "test", test), batch))


def network(classes, weights):
    import torch
    import torchvision
    net = torchvision.models.resnet18()
    if weights is not None:
        net.load_state_dict(torch.load(weights, weights_only=True))
    net.fc = torch.nn.Linear(net.fc.in_features, classes)
    if weights is not None:
        torch.nn.init.xavier_uniform_(net.fc.weight)
    return net


def optimizer(net, scratch):
    import torch
    if scratch:
        return torch.optim.SGD(net.parameters(), lr=5e-4, weight_decay=0.001)
    backbone = [p for name, p in net.named_parameters() if name not in ("fc.weight", "fc.bias")]
    return torch.optim.SGD([{"params": backbone}, {"params": net.fc.parameters(), "lr": 5e-4}], lr=5e-5, weight_decay=0.001)


def accuracy(net, batches):
    import torch
    net.eval()
    right = total = 0
    with torch.no_grad():
        for images, labels in batches:
            right += int((net(images).argmax(1) == labels).sum())
            total += len(labels)
    return right / total


def run_pytorch(arguments, seed, scratch):
    import torch
    torch.manual_seed(seed)
    train, test = loaders(arguments.data, seed)
    net = network(len(train.dataset.classes), None if scratch else arguments.weights)
    step = optimizer(net, scratch)
    loss_of = torch.nn.CrossEntropyLoss(reduction="none")
    for _ in range(EPOCHS):
        net.train()
        loss_sum = right = total = seconds = 0
        for images, labels in train:
            start = time.perf_counter()
            step.zero_grad()
            logits = net(images)
            loss = loss_of(logits, labels).sum()
            loss.backward()
            step.step()
            loss_sum += float(loss)
            right += int((logits.argmax(1) == labels).sum())
            total += len(labels)
            seconds += time.perf_counter() - start
        test_accuracy = accuracy(net, test)  # after every epoch, as the listing
    return {"loss": loss_sum / total, "train": right / total, "test": test_accuracy, "rate": total / seconds}


def finished_pytorch(arguments, seed, scratch):
    """PyTorch's figures; trained for unless an earlier call did."""
    file = arguments.out / f"pytorch-{'scratch' if scratch else 'finetuned'}-seed{seed}.json"
    if not file.exists():
        start = time.time()
        figures = run_pytorch(arguments, seed, scratch)
        file.write_text(json.dumps(figures | {"minutes": (time.time() - start) / 60}))
        print(f"{file.stem}: {figures}", file=sys.stderr)
    return json.loads(file.read_text())


def headstart_book(arguments, seeds):
    """The chapter by headstart with the first SEEDS seeds; runs that an earlier call finished are not repeated."""
    subprocess.run([arguments.headstart, "book", "--data", str(arguments.data), "--weights", str(arguments.weights), "--seeds", str(seeds),
                    "--out", str(arguments.out / "headstart")], check=True, stdout=subprocess.DEVNULL)


def finished_headstart(arguments, seed, scratch):
    run = arguments.out / "headstart" / f"{'scratch' if scratch else 'finetuned'}-seed{seed}"
    last = json.loads((run / "run.json").read_text())["history"][-1]
    return {"loss": last["train_loss"], "train": last["train_top1"], "test": last["validation_top1"], "rate": last["photos_per_second"]}


def row(program, form, runs):
    def spread(key):
        values = [run[key] for run in runs]
        return f"{statistics.mean(values):.4f} ± {statistics.stdev(values) if len(values) > 1 else 0:.4f}"
    tests = " ".join(f"{run['test']:.4f}" for run in runs)
    return f"| {program} | {form} | {spread('loss')} | {spread('train')} | {spread('test')} | {tests} | {statistics.median(r['rate'] for r in runs):.1f} |"


def difference(ours, theirs):
    """Difference of the mean test accuracies and its standard error, the runs being independent."""
    a, b = [run["test"] for run in ours], [run["test"] for run in theirs]
    if len(a) < 2:
        return "one seed: no spread"
    error = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    return f"headstart - PyTorch: {statistics.mean(a) - statistics.mean(b):+.4f}, standard error {error:.4f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--weights", type=pathlib.Path, required=True)
    parser.add_argument("--headstart", default="build/release/apps/headstart/headstart")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--scratch", action="store_true")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/bench-book"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    forms = [False, True] if arguments.scratch else [False]
    for seed in range(arguments.seeds):  # in turn: a machine that slows down slows both
        headstart_book(arguments, seed + 1)
        for scratch in forms:
            finished_pytorch(arguments, seed, scratch)
    print("| program | form | loss | train acc | test acc | test acc by seed | photos/s |\n|---|---|---|---|---|---|---|")
    notes = []
    for scratch in [False, True]:
        form = "from scratch" if scratch else "fine-tuned"
        ours = [finished_headstart(arguments, seed, scratch) for seed in range(arguments.seeds)]
        print(row("headstart", form, ours))
        if scratch in forms:
            theirs = [finished_pytorch(arguments, seed, scratch) for seed in range(arguments.seeds)]
            print(row("PyTorch", form, theirs))
            notes.append(f"{form}: {difference(ours, theirs)}")
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
