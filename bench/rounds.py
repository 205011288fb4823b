"""Runs programs in turn, several rounds, and makes tables of what they measured: shared by the scripts of bench/.

A program prints a line as network_bench does, "31.5 images/s, 60.2 ms of processor time an image, 900 MiB"; of one that prints none the
whole process is measured. Waiting threads sleep (OMP_WAIT_POLICY=passive), so that processor time is work.
"""
import dataclasses
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

LINE = re.compile(r"([\d.]+) images/s, ([\d.]+) ms of processor time an image, (\d+) MiB")


@dataclasses.dataclass
class Program:
    command: list
    environment: dict = dataclasses.field(default_factory=dict)
    images: int = 0  # of a program that prints no line

    def measure(self):
        return measure(self)


def measure(program):
    """Images a second, milliseconds of processor time an image, MiB at most, seconds of the whole process."""
    environment = os.environ | {"OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2"} | program.environment
    begin = time.perf_counter()
    process = subprocess.Popen([str(word) for word in program.command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    output = process.stdout.read()  # programs write little to standard error, which cannot fill its pipe
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    if process.returncode != 0:
        raise RuntimeError(f"{program.command} ended with {process.returncode}: {errors.strip()[-500:]}")
    if found := LINE.search(output):
        rate, milliseconds, mib = (float(value) for value in found.groups())
    else:
        images = max(program.images, 1)
        rate, milliseconds, mib = images / wall, 1e3 * (usage.ru_utime + usage.ru_stime) / images, usage.ru_maxrss / 1024
    return {"rate": rate, "processor_ms": milliseconds, "mib": mib, "wall": wall}


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
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def ratios(ours, theirs, key):
    """Ours over theirs where more is better, theirs over ours where less is; each within a round, so that what slows a round falls out."""
    pairs = zip(ours[-len(theirs):], theirs[-len(ours):])
    return [a[key] / b[key] if key == "rate" else b[key] / a[key] for a, b in pairs]


def table(results, ours):
    """Rows in Markdown; the ratios are those of OURS to the row's program: above 1, OURS is ahead. The best
    round of each is the one that other programs on the machine disturbed least."""
    print(f"| | images/s | ms of processor time an image | peak MiB | {ours}: images/s | best round of each | processor time |\n"
          "|---|---|---|---|---|---|---|")
    for name, runs in results.items():
        over = ["", "", ""]
        if name != ours:
            over = [spread(ratios(results[ours], runs, key), 2) for key in ("rate", "processor_ms")]
            over.insert(1, f"{max(run['rate'] for run in results[ours]) / max(run['rate'] for run in runs):.2f}")
        print(f"| {name} | {spread([run['rate'] for run in runs], 1)} | {statistics.median(run['processor_ms'] for run in runs):.2f} | "
              f"{max(run['mib'] for run in runs):,.0f} | {over[0]} | {over[1]} | {over[2]} |")


def folder(path):
    path = pathlib.Path(path)
    path.mkdir(parents=True, exist_ok=True)
    return path
