#!/usr/bin/env python3
"""Several processes with one thread each against one process with as many threads, doing the same work in turns.

    python3 benches/processes/measure.py --mp-train target/release/mp-train --data cifar10 --out processes.json

Every round trains each of the two anew on the same images with the same recipe, one after the other and in changing order, and
takes the images a second of the epochs after the first. The ratio is that of the medians. With --delay and --rate the
processes meet through a loopback that is as slow as a network: that needs root, `ip` and `tc`, and is undone at the end.
"""

import argparse
import csv
import json
import os
import pathlib
import statistics
import subprocess
import tempfile


def speed(run):
    with open(run / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    images = [float(row["images_per_second"]) for row in rows[1:]]
    # Epochs are of one length: the mean over time is the harmonic one.
    return statistics.harmonic_mean(images)


def train(options, model, way, run):
    settings = [
        f"data.limit={options.limit}",
        f"train.batch_size={options.batch}",
        f"train.epochs={options.epochs}",
        f"train.precision={options.precision}",
        "data.augment={flip=true, pad=4}" if options.augment else "data.augment={}",
    ]
    arguments = ["train", "--model", model, "--data", options.data, "--out", str(run)]
    for setting in settings:
        arguments += ["--set", setting]
    environment = dict(os.environ)
    if way == "processes":
        arguments += ["--set", "train.threads=1", "--set", "data.workers=1"]
        command = [options.mp_train, "launch", "--processes", str(options.processes), "--"] + arguments
    else:
        arguments += ["--set", f"train.threads={options.processes}", "--set", f"data.workers={options.processes}"]
        command = [options.mp_train] + arguments
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1]}")
    return speed(run)


def slow_loopback(options):
    """Delays every packet of the loopback, as a network between machines does."""
    if options.delay == 0 and options.rate is None:
        return []
    rule = ["tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", f"{options.delay}us"]
    if options.rate is not None:
        rule += ["rate", options.rate]
    subprocess.run(rule, check=True)
    return ["tc", "qdisc", "del", "dev", "lo", "root"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mp-train", required=True, help="the program")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--models", nargs="+", default=["resnet20"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--limit", type=int, default=1536, help="training images")
    parser.add_argument("--epochs", type=int, default=3, help="of each run; the first is not counted")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--augment", action="store_true")
    parser.add_argument("--delay", type=int, default=0, help="microseconds that the loopback delays a packet")
    parser.add_argument("--rate", help="what the loopback carries, such as 1gbit")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    options = parser.parse_args()

    undo = slow_loopback(options)
    found = []
    try:
        for model in options.models:
            speeds = {"processes": [], "threads": []}
            for number in range(options.rounds):
                ways = list(speeds) if number % 2 == 0 else list(speeds)[::-1]
                for way in ways:
                    with tempfile.TemporaryDirectory() as folder:
                        speeds[way].append(train(options, model, way, pathlib.Path(folder) / "run"))
            medians = {way: statistics.median(all_of) for way, all_of in speeds.items()}
            ratio = medians["processes"] / medians["threads"]
            found.append({"model": model, "ratio": ratio, "medians": medians, "speeds": speeds})
            print(
                f"{model}: {medians['processes']:.0f} images/s by {options.processes} processes of one thread, "
                f"{medians['threads']:.0f} by one of {options.processes}: {ratio:.3f} "
                f"({min(speeds['processes']):.0f} to {max(speeds['processes']):.0f}, "
                f"{min(speeds['threads']):.0f} to {max(speeds['threads']):.0f})",
                flush=True,
            )
    finally:
        if undo:
            subprocess.run(undo, check=False)
    if options.out:
        settings = {key: str(value) for key, value in vars(options).items()}
        options.out.write_text(json.dumps({"settings": settings, "load": os.getloadavg(), "found": found}, indent=1))


if __name__ == "__main__":
    main()
