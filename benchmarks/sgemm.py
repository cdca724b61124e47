"""This machine's peak of float32 matrix products: python -m benchmarks.sgemm N_THREADS prints FLOP/s.

Run with OPENBLAS_NUM_THREADS; the product is NumPy's, that is OpenBLAS's.
"""

import sys
import time

import numpy as np

from benchmarks.worker import pin

SIZE = 3072
REPEATS = 15


def main(n_threads):
    """See the module's docstring."""
    pin(int(n_threads))
    a, b = np.random.RandomState(0).rand(2, SIZE, SIZE).astype(np.float32)
    product = a @ b
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        np.matmul(a, b, out=product)
        seconds.append(time.perf_counter() - start)
    print(2 * SIZE**3 / min(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
