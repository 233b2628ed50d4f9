"""Checks and measures Multipath on one GPU within a time that is given, and writes all that it finds to one folder.

    python3 benches/gpu/measure.py --mp-train ./mp-train --data CIFAR --out FOLDER --seconds 480
    python3 benches/gpu/measure.py --mp-train ./mp-train --data CIFAR --out FOLDER --device cpu --small

README.md beside this file says what is measured. Needs PyTorch with torchvision; nothing is fetched.
"""

import argparse
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "peers"))

import training_step  # noqa: E402

# One or two networks of every family.
FAMILIES = """base_cnn_x2_cc base_cnn_e3 resnet20 resnet20_w48 resnet20_x3 resnet20_x3_cc resnet20_x2_cp resnet20_x3_stitch
resnet20_x3_blind resnet20_x3_cc@positions=blocks resnet20_x3_cc@mixer.input=standardised resnet18_x2_cc wrn16_2_x2_cc
aig20 skipnet20 seresnet20_e2""".split()
SMALL = "resnet20_x3_cc resnet20_x3_cc@positions=blocks resnet20_x3 resnet20_w48".split()
LARGE = "resnet18 resnet50".split()


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    session = Session(options)
    session.about()
    for phase in options.phases:
        try:
            PHASES[phase](session)
        except Exception as error:  # One phase that fails must not cost the others.
            session.note(f"{phase} failed: {type(error).__name__}: {error}")
    session.note("done")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mp-train", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True, help="the folder of CIFAR-10, binary version")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=480, help="time that all phases take together")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--phases", nargs="+", choices=list(PHASES), default=list(PHASES))
    parser.add_argument("--models", nargs="+", help="the networks of agree, in place of one of every family")
    parser.add_argument("--study", type=Path, help="a study for compare")
    parser.add_argument("--study-seconds", type=float, default=240)
    parser.add_argument("--jobs", type=int, default=6, help="runs of the study side by side")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the script itself")
    options = parser.parse_args()
    options.mp_train = options.mp_train.resolve()
    return options


class Session:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.start = time.monotonic()
        self.lock = threading.Lock()

    def left(self) -> float:
        return self.options.seconds - (time.monotonic() - self.start)

    def note(self, text: str) -> None:
        line = f"[{time.monotonic() - self.start:6.1f} s] {text}"
        with self.lock, open(self.options.out / "log.txt", "a") as file:
            print(line, flush=True)
            print(line, file=file)

    def keep(self, file: str, value: object) -> None:
        with self.lock, open(self.options.out / file, "a") as to:
            print(json.dumps(value), file=to)

    def run(self, *words: object, timeout: float = 300, threads: int = 4) -> subprocess.CompletedProcess:
        command = [str(self.options.mp_train), *map(str, words)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
        limit = max(5, min(timeout, self.left()))
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit)

    def about(self) -> None:
        gpu = shutil.which("nvidia-smi")
        asked = "--query-gpu=name,driver_version,memory.total"
        found = subprocess.run([gpu, asked, "--format=csv,noheader"], capture_output=True, text=True) if gpu else None
        about = {
            "gpu": found.stdout.strip() if found else None,
            "torch": torch.__version__,
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
            "processor": training_step.processor(),
            "cores": len(os.sched_getaffinity(0)),
            "system": platform.platform(),
            "mp-train": self.run("--version").stdout.strip(),
        }
        self.keep("about.jsonl", about)
        self.note(json.dumps(about))
        doctor = self.run("doctor")
        (self.options.out / "doctor.txt").write_text(doctor.stdout + doctor.stderr)


def agree(session: Session) -> None:
    """Logits, gradients, a step: every family against the CPU."""
    options = session.options
    names = options.models or FAMILIES
    formats = ["fp32", "bf16"] if options.device == "cpu" else ["fp32", "tf32", "bf16", "fp16"]

    def one(work: tuple[str, str]) -> None:
        name, precision = work
        words = ["bench", name, "--agree", "--json", "--device", options.device, "--precision", precision]
        done = session.run(*words, "--batch", 8, threads=2)
        if done.stdout.startswith("{"):
            report = json.loads(done.stdout)
            found = report["models"][0] | {"precision": precision}
            session.keep("agree.jsonl", found)
            if not found["agrees"]:
                session.note(f"agree {name} {precision}: {json.dumps(found)}")
        else:
            session.keep("agree.jsonl", {"name": name, "precision": precision, "error": done.stderr.strip()})
            session.note(f"agree {name} {precision}: {done.stderr.strip()[-300:]}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, [(name, precision) for name in names for precision in formats]))
    session.note("agree: done")


def launches(session: Session) -> None:
    """What a step is made of, and what recording it saves."""
    options = session.options
    rounds, batches = (2, [8]) if options.small else (5, [128, 512, 2048])
    for precision in ["fp32", "bf16"] if options.device == "cpu" else ["fp32", "tf32", "bf16", "fp16"]:
        for batch in batches:
            for graphs in [[], ["--no-graphs"], ["--no-kernels"]]:
                words = ["bench", *SMALL, "--json", "--device", options.device, "--precision", precision]
                words += ["--batch", batch, "--rounds", rounds, "--passes", 2 if options.small else 20, "--peak", *graphs]
                done = session.run(*words, threads=8)
                if done.returncode != 0:
                    session.note(f"bench {precision} {batch} {graphs}: {done.stderr.strip()[-400:]}")
                    continue
                report = json.loads(done.stdout) | {"without": graphs}
                session.keep("bench.jsonl", report)
                times = ", ".join(
                    f"{m['name']} {m['ms_median']:.2f} ms x{m['ratio_to_first']:.2f} {m.get('graph_nodes', '')}"
                    for m in report["models"]
                )
                session.note(f"bench {precision} {batch} {' '.join(graphs)}: {times}, peak {report.get('peak_gflops', 0) / 1e3:.0f} TFLOP/s")


def train(session: Session) -> None:
    """Digits and CIFAR-10 train; a run that was stopped and gone on with is the unbroken one."""
    options = session.options
    work = options.out / "runs"
    on = ["--device", options.device]
    small = ["--set", "data.limit=256"] if options.small else []

    def go(name: str, *words: object) -> dict | None:
        start = time.monotonic()
        done = session.run("train", *words, *on, "--out", work / name, threads=4)
        if done.returncode != 0:
            session.note(f"train {name}: {done.stderr.strip()[-400:]}")
            return None
        summary = json.loads((work / name / "summary.json").read_text())
        summary |= {"run": name, "seconds": time.monotonic() - start}
        session.keep("train.jsonl", summary)
        shown = {key: summary[key] for key in ("device", "valid_accuracy_best", "images_per_second", "seconds")}
        session.note(f"train {name}: {json.dumps(shown)}")
        return summary

    exact = ["digits", "--set", "train.deterministic=true", "--set", "train.epochs=12"]
    go("digits", *exact)
    broken = work / "broken"
    stopped = stop_after_an_epoch([str(options.mp_train), "train", *exact, *on, "--out", str(broken)], broken)
    resumed = session.run("train", "--resume", "--out", broken, *on)
    same = resumed.returncode == 0 and same_weights(work / "digits", broken)
    session.note(f"resume after exit {stopped}: {'the same to the last bit' if same else 'NOT THE SAME ' + resumed.stderr[-300:]}")
    session.keep("train.jsonl", {"run": "resume", "stopped": stopped, "same": same})
    data = ["--data", options.data]
    cifar = ["cifar10-resnet20", "--model", "resnet20_x3_cc", *data, *small]
    for precision in [] if options.device == "cpu" else ["bf16", "tf32", "fp32", "fp16"]:
        epochs = ["--set", "train.epochs=2", "--set", f"train.precision={precision}"]
        go(f"cifar-{precision}", *cifar, *epochs)
    if options.device == "cuda":
        go("cifar-bf16-no-graphs", *cifar, "--set", "train.epochs=2", "--set", "train.precision=bf16", "--set", "train.graphs=false")
        go("aig", cifar[0], *data, "--model", "aig20", "--set", "train.epochs=1")


def stop_after_an_epoch(command: list[str], folder: Path) -> int:
    """Interrupts a run in its second epoch; gives its exit code, 130 where it was not over yet."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (folder / "checkpoints" / "last.safetensors").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    return process.wait(60)


def same_weights(one: Path, other: Path) -> bool:
    from safetensors.torch import load_file

    a, b = (load_file(folder / "checkpoints" / "last.safetensors") for folder in (one, other))
    own = [name for name in a if "/" not in name]
    return bool(own) and all(torch.equal(a[name], b[name]) for name in own)


def kernels(session: Session) -> None:
    """The CUDA kernels by themselves, where there is a program that checks them."""
    program = session.options.mp_train.with_name("cuda_kernels")
    if not program.exists():
        session.note("kernels: no program")
        return
    done = subprocess.run([str(program)], capture_output=True, text=True, timeout=max(5, min(120, session.left())))
    (session.options.out / "kernels.txt").write_text(done.stdout + done.stderr)
    session.note(f"kernels: exit code {done.returncode}; {done.stdout.strip()[-1500:]} {done.stderr.strip()[-500:]}")


def peers(session: Session) -> None:
    """Ours, eager and compiled PyTorch in turns."""
    options = session.options
    work = combinations(options)
    sides = ["eager", "compile"] if not options.small else ["eager"]
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")
    (options.out / "peers").mkdir(exist_ok=True)
    ready: list[tuple[dict, dict]] = []

    def prepare(one: dict) -> None:
        try:
            setting = argparse.Namespace(
                **one, device=options.device, threads=4, mp_train=options.mp_train, no_graphs=False, json=True,
                passes=2 if options.small else max(4, 2560 // one["batch"]),
            )  # fmt: skip
            weights = options.out / "peers" / f"{one['model'].replace('@', '-')}-{one['precision']}-{one['batch']}.safetensors"
            training_step.mp_train(setting, "weights", one["model"], weights)
            found = {"multipath": training_step.ours(setting)}
            for side in sides:
                found[side] = training_step.theirs(side, weights, setting)
            for side in list(found):
                found[side].ready()
            ready.append((one, found))
            session.note(f"peers: {one} is ready, compiled after {found[sides[-1]].about['seconds_to_start']} s")
        except (Exception, SystemExit) as error:
            session.note(f"peers: {one}: {error}")

    with ThreadPoolExecutor(2 if options.small else 7) as pool:
        list(pool.map(prepare, work))
    for one, found in sorted(ready, key=lambda pair: work.index(pair[0])):
        if session.left() < 20:
            session.note(f"peers: no time for {one}")
            continue
        rounds = []
        for number in range(options.rounds):
            names = list(found)
            first = number % len(names)
            rounds.append({name: found[name].turn(3) for name in names[first:] + names[:first]})
        result = one | {"rounds": rounds}
        for name in sides:
            result[name] = statistics.median(round_["multipath"] / round_[name] for round_ in rounds)
        session.keep("peers.jsonl", result)
        times = {name: round(statistics.median(round_[name] for round_ in rounds), 3) for name in found}
        session.note(f"peers: {one} ms {times} ours/eager {result['eager']:.3f} ours/compile {result.get('compile', 0):.3f}")
        for side in found.values():
            side.close()
    shutil.rmtree(options.out / "peers", ignore_errors=True)


def combinations(options: argparse.Namespace) -> list[dict]:
    if options.small:
        return [{"model": "resnet20_x3_cc", "precision": "fp32", "batch": 8}]
    formats = ["bf16", "tf32", "fp32"]
    small = [
        {"model": model, "precision": precision, "batch": batch}
        for batch in (128, 2048, 512)
        for precision in formats
        for model in ("resnet20_x3_cc", "resnet20_x3_cc@positions=blocks", "resnet20_w48")
    ]
    large = [{"model": model, "precision": precision, "batch": 128} for model in LARGE for precision in ("bf16", "tf32")]
    return small[:9] + large + small[9:]


def study(session: Session) -> None:
    """Runs of a study, in what time there is."""
    options = session.options
    if options.study is None:
        session.note("study: none asked for")
        return
    seconds = max(10, min(options.study_seconds, session.left() - 25))
    words = ["compare", options.study, "--out", options.out / "study", "--work", options.out / "work"]
    words += ["--jobs", options.jobs, "--threads", 2, "--hours", f"{seconds / 3600:.4f}", "--data", options.data]
    done = session.run(*words, timeout=seconds + 60, threads=2)
    session.note(f"study: exit code {done.returncode}; {done.stdout.strip()[-3000:]} {done.stderr.strip()[-800:]}")
    # The machine's limit is on the number of files: the records travel as one.
    if (options.out / "study").exists():
        shutil.make_archive(str(options.out / "study"), "gztar", options.out / "study")
        shutil.rmtree(options.out / "study")
    shutil.rmtree(options.out / "work", ignore_errors=True)


PHASES = {"agree": agree, "kernels": kernels, "launches": launches, "train": train, "peers": peers, "study": study}

if __name__ == "__main__":
    main()
