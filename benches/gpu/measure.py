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


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    session = Session(options)
    session.about()
    for phase in options.phases:
        session.note(f"{phase}: begins")
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
    parser.add_argument("--phases", nargs="+", choices=list(PHASES), default=["train", "together", "launches", "peers"])
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
        # The first group of peers, once it is ready.
        self.first: list[dict] | None = None
        self.ready: list[dict | None] = []

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

    def run(
        self, *words: object, timeout: float = 300, threads: int = 4, more: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess:
        command = [str(self.options.mp_train), *map(str, words)]
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)} | (more or {})
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

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(one, [(name, precision) for name in names for precision in formats]))
    session.note("agree: done")


def launches(session: Session) -> None:
    """What a step is made of, and what recording it and our kernels save."""
    options = session.options
    if options.small:
        plan = [("fp32", 8, [])]
    else:
        plan = [("bf16", 128, []), ("bf16", 128, ["--no-graphs"]), ("bf16", 128, ["--no-kernels"])]
        plan += [("bf16", 2048, []), ("bf16", 2048, ["--no-kernels"]), ("bf16", 512, [])]
        plan += [("tf32", 128, []), ("fp32", 128, []), ("fp16", 128, []), ("bf16", 128, ["--no-graphs", "--no-kernels"])]
    for precision, batch, without in plan:
        words = ["bench", *SMALL, "--json", "--device", options.device, "--precision", precision, "--batch", batch]
        words += ["--rounds", 2 if options.small else 5, "--passes", 2 if options.small else max(4, 1280 // batch)]
        done = session.run(*words, "--peak", *without, threads=8)
        if done.returncode != 0:
            session.note(f"bench {precision} {batch} {without}: {done.stderr.strip()[-400:]}")
            continue
        report = json.loads(done.stdout) | {"without": without}
        session.keep("bench.jsonl", report)
        times = ", ".join(
            f"{m['name']} {m['ms_median']:.2f} ms x{m['ratio_to_first']:.2f} {m.get('graph_nodes', '')}"
            for m in report["models"]
        )
        peak = report.get("peak_gflops", 0) / 1e3
        session.note(f"bench {precision} {batch} {' '.join(without)}: {times}, peak {peak:.0f} TFLOP/s")


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
    """Ours, eager and compiled PyTorch in turns, group by group: as many processes as the memory takes get ready side by side."""
    for group in groups(session.options):
        if session.left() < 75 and group is not session.first:
            session.note(f"peers: no time for {group}")
            continue
        ready = session.ready if group == session.first else prepare_group(session, group)
        for one, sides in zip(group, ready, strict=True):
            if sides and session.left() > 15:
                compare(session, one, sides)
            for side in (sides or {}).values():
                side.process.kill()
    shutil.rmtree(session.options.out / "peers", ignore_errors=True)


def prepare_group(session: Session, group: list[dict]) -> list[dict | None]:
    start = time.monotonic()
    with ThreadPoolExecutor(len(group)) as pool:
        ready = list(pool.map(lambda one: prepare(session, one), group))
    session.note(f"peers: a group of {len(group)} was ready after {time.monotonic() - start:.0f} s")
    return ready


def prepare(session: Session, one: dict) -> dict | None:
    options = session.options
    passes = 2 if options.small else max(4, 2560 // one["batch"])
    setting = argparse.Namespace(
        **one, device=options.device, threads=4, mp_train=options.mp_train, no_graphs=False, json=True, passes=passes
    )
    folder = options.out / "peers"
    folder.mkdir(exist_ok=True)
    weights = folder / f"{one['model'].replace('@', '-')}-{one['precision']}-{one['batch']}.safetensors"
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "2")
    sides: dict = {}
    try:
        training_step.mp_train(setting, "weights", one["model"], weights)
        sides["multipath"] = training_step.ours(setting)
        for side in ["eager"] if options.small else ["eager", "compile"]:
            sides[side] = training_step.theirs(side, weights, setting)
        for side in sides.values():
            side.ready()
        return sides
    except (Exception, SystemExit) as error:
        session.note(f"peers: {one}: {type(error).__name__}: {error}")
        for side in sides.values():
            side.process.kill()
        return None


def compare(session: Session, one: dict, sides: dict) -> None:
    names, rounds = list(sides), []
    for number in range(session.options.rounds):
        first = number % len(names)
        rounds.append({name: sides[name].turn(3) for name in names[first:] + names[:first]})
    theirs = [name for name in names if name != "multipath"]
    ratios = {name: statistics.median(round_["multipath"] / round_[name] for round_ in rounds) for name in theirs}
    session.keep("peers.jsonl", one | {"rounds": rounds, "ratios": ratios})
    times = {name: round(statistics.median(round_[name] for round_ in rounds), 3) for name in names}
    session.note(f"peers: {one} ms {times} ratios {json.dumps(ratios)}")


def groups(options: argparse.Namespace) -> list[list[dict]]:
    def group(batch: int, formats: list[str], models: list[str]) -> list[dict]:
        return [{"model": m, "precision": p, "batch": batch} for p in formats for m in models]

    if options.small:
        return [group(8, ["fp32"], ["resnet20_x3_cc"])]
    paths = ["resnet20_x3_cc", "resnet20_x3_cc@positions=blocks", "resnet20_w48"]
    return [
        group(128, ["bf16", "tf32"], paths) + group(64, ["bf16", "tf32"], ["resnet18"]),
        group(2048, ["bf16"], paths) + group(64, ["bf16"], ["resnet50"]),
        group(512, ["bf16", "tf32"], paths) + group(128, ["fp32"], paths),
        group(2048, ["tf32"], paths),
    ]


def study(session: Session) -> None:
    """Runs of a study, in what time there is."""
    options = session.options
    if options.study is None:
        session.note("study: none asked for")
        return
    seconds = max(10, min(options.study_seconds, session.left() - 25))
    words = ["compare", options.study, "--out", options.out / "study", "--work", options.out / "work"]
    more = shared_gpu(session)
    words += ["--jobs", options.jobs, "--threads", 2, "--hours", f"{seconds / 3600:.4f}", "--data", options.data]
    done = session.run(*words, timeout=seconds + 60, threads=2, more=more)
    session.note(f"study: exit code {done.returncode}; {done.stdout.strip()[-3000:]} {done.stderr.strip()[-800:]}")
    # The machine's limit is on the number of files: the records travel as one.
    if (options.out / "study").exists():
        shutil.make_archive(str(options.out / "study"), "gztar", options.out / "study")
        shutil.rmtree(options.out / "study")
    shutil.rmtree(options.out / "work", ignore_errors=True)


def shared_gpu(session: Session) -> dict[str, str]:
    """What lets several processes compute on the GPU at one time, where the machine has NVIDIA's service for it."""
    control = shutil.which("nvidia-cuda-mps-control")
    if session.options.device == "cpu" or control is None:
        return {}
    more = {"CUDA_MPS_PIPE_DIRECTORY": "/tmp/mps-pipe", "CUDA_MPS_LOG_DIRECTORY": "/tmp/mps-log"}
    for folder in more.values():
        os.makedirs(folder, exist_ok=True)
    try:
        subprocess.run([control, "-d"], env=os.environ | more, timeout=10, check=True, capture_output=True)
        tried = session.run("bench", "base_cnn_w4", "--device", "cuda", "--rounds", 1, timeout=30, more=more)
    except (subprocess.SubprocessError, OSError) as error:
        session.note(f"study: no shared GPU: {error}")
        return {}
    session.note(f"study: shared GPU {'works' if tried.returncode == 0 else 'fails: ' + tried.stderr.strip()[-300:]}")
    return more if tried.returncode == 0 else {}


def together(session: Session) -> None:
    """What nobody times: the study, the agreement of every family, and the compiling of the first group of peers."""

    def first() -> None:
        session.ready = prepare_group(session, groups(session.options)[0])
        session.first = groups(session.options)[0]

    work = [threading.Thread(target=task) for task in (lambda: study(session), lambda: agree(session), first)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


PHASES = {"together": together, "agree": agree, "kernels": kernels, "launches": launches, "train": train, "peers": peers, "study": study}

if __name__ == "__main__":
    main()
