"""ONNX Runtime's side of `inference.py`: a process that times forward passes whenever it is asked to.

It speaks as `mp-train bench --turns` does: see `worker.py`.
"""

import argparse
import sys
import time

import numpy as np
import onnxruntime
from worker import answer

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an ONNX file with one input")
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads, settings.inter_op_num_threads = options.threads, 1
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    expected = session.get_inputs()[0]
    images = {expected.name: np.random.default_rng(0).standard_normal(expected.shape, np.float32)}

    def timed() -> float:
        start = time.perf_counter()
        session.run(None, images)
        return 1e3 * (time.perf_counter() - start)

    for _ in range(WARM_UP):
        timed()
    answer({"device": "cpu", "threads": options.threads})
    for line in sys.stdin:
        untimed, passes = map(int, line.split())
        for _ in range(untimed):
            timed()
        answer({"ms": [timed() for _ in range(passes)]})


if __name__ == "__main__":
    main()
