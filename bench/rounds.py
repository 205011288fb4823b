"""Runs programs in turn, several rounds, and makes tables of what they measured: shared by the scripts of bench/.

A program prints a line as network_bench does, "31.5 images/s, 60.2 ms of processor time an image, 900 MiB"; of one that prints none the
whole process is measured. Waiting threads sleep (OMP_WAIT_POLICY=passive).

Other programs on the machine do more than take their share: oneDNN's gradients of weights wait for each other in loops that spin, so that a
thread that is not running costs the others whole time slices, in processor time as well. So a measurement waits a while for a quiet machine
and notes the share of the processors that others took meanwhile; tables are made of undisturbed rounds where there are any.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

DISTURBED = 0.1  # of all processors
PATIENCE = 12  # seconds
LINE = re.compile(r"([\d.]+) images/s, ([\d.]+) ms of processor time an image, (\d+) MiB")


@dataclasses.dataclass
class Program:
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    images: int = 0  # of a program that prints no line

    def measure(self):
        return measure(self)


def busy_seconds():
    """Of all processors and programs since the start."""
    user, nice, system = pathlib.Path("/proc/stat").read_text().split()[1:4]
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet():
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        before = busy_seconds()
        time.sleep(1)
        if busy_seconds() - before < DISTURBED * os.cpu_count():
            return


def measure(program):
    """Images a second, milliseconds of processor time an image, MiB at most; seconds of the whole process, the share of others meanwhile."""
    wait_for_quiet()
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"} | program.environment
    begin, busy = time.perf_counter(), busy_seconds()
    process = subprocess.Popen([str(word) for word in program.command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    output = process.stdout.read()  # programs write little to standard error, which cannot fill its pipe
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    others = max(0, busy_seconds() - busy - usage.ru_utime - usage.ru_stime) / (wall * os.cpu_count())
    if process.returncode != 0:
        raise RuntimeError(f"{program.command} ended with {process.returncode}: {errors.strip()[-500:]}")
    if found := LINE.search(output):
        rate, milliseconds, mib = (float(value) for value in found.groups())
    else:
        images = max(program.images, 1)
        rate, milliseconds, mib = images / wall, 1e3 * (usage.ru_utime + usage.ru_stime) / images, usage.ru_maxrss / 1024
    return {"rate": rate, "processor_ms": milliseconds, "mib": mib, "wall": wall, "others": others}


def in_turn(programs, rounds, file):
    """Results by name, round by round, of whatever has a method measure(); what FILE holds already is added to. A program that fails is left out from then on."""
    results = json.loads(file.read_text()) if file.exists() else {}
    programs = dict(programs)
    for number in range(rounds):
        done = {}
        for name, program in list(programs.items()):
            try:
                done[name] = program.measure()
            except (RuntimeError, OSError) as error:
                print(f"left out: {name}: {error}", file=sys.stderr)
                del programs[name]
        for name, result in done.items():
            results.setdefault(name, []).append(result)
        file.write_text(json.dumps(results))
        print(f"{file.stem}: round {number + 1} of {rounds}", file=sys.stderr)
    return results


def spread(values, digits):
    if not values:
        return "not comparable"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def undisturbed(runs):
    """Rounds in which others took little; all rounds where they always took much."""
    return [run for run in runs if run["others"] <= DISTURBED] or runs


def ratios(ours, theirs, key):
    """Ours over theirs where more is better, theirs over ours where less is: within the rounds that were undisturbed for both; else of the
    medians of undisturbed rounds; else within the rounds in which others took alike; else none."""
    pairs = [(a, b) for a, b in zip(ours, theirs) if max(a["others"], b["others"]) <= DISTURBED]
    if not pairs:
        quiet = [[run for run in runs if run["others"] <= DISTURBED] for runs in (ours, theirs)]
        if all(quiet):
            pairs = [tuple({key: statistics.median(run[key] for run in runs)} for runs in quiet)]
    if not pairs:
        pairs = [(a, b) for a, b in zip(ours, theirs) if abs(a["others"] - b["others"]) <= DISTURBED]
    return [a[key] / b[key] if key == "rate" else b[key] / a[key] for a, b in pairs]


def table(results, ours):
    """Rows in Markdown; the ratios are those of OURS to the row's program: above 1, OURS is ahead."""
    print(f"| | images/s | ms of processor time an image | peak MiB | {ours}: images/s | processor time | undisturbed rounds |\n"
          "|---|---|---|---|---|---|---|")
    for name, runs in results.items():
        over = ["", ""] if name == ours else [spread(ratios(results[ours], runs, key), 2) for key in ("rate", "processor_ms")]
        quiet = undisturbed(runs)
        print(f"| {name} | {spread([run['rate'] for run in quiet], 1)} | {statistics.median(run['processor_ms'] for run in quiet):.2f} | "
              f"{max(run['mib'] for run in runs):,.0f} | {over[0]} | {over[1]} | "
              f"{sum(run['others'] <= DISTURBED for run in runs)} of {len(runs)} |")


def parser(doc, batches, rounds, seconds, out):
    """Of the options that the scripts share, with each one's defaults."""
    options = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--bench", type=pathlib.Path, default=pathlib.Path("build/bench/bench"))
    options.add_argument("--headstart", default="build/release/apps/headstart/headstart")
    options.add_argument("--networks", nargs="+", default=["resnet18", "efficientnet_lite0"])
    options.add_argument("--batches", nargs="+", type=int, default=batches)
    options.add_argument("--rounds", type=int, default=rounds)
    options.add_argument("--seconds", type=float, default=seconds)
    options.add_argument("--out", type=folder, default=out)
    return options


def compare_networks(arguments, kind, programs, ours):
    """A table for each network and batch; programs(arguments, network, batch) by name."""
    for network in arguments.networks:
        for batch in arguments.batches:
            results = in_turn(programs(arguments, network, batch), arguments.rounds, arguments.out / f"{kind}-{network}-{batch}.json")
            print(f"\n### {network}, batch {batch}\n")
            table(results, ours)


def folder(path):
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path
