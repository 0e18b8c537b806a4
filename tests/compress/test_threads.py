"""What the second of two factors reads is computed to the same bits however many cores there are: codes and ranges depend on it."""

import numpy as np
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from paredown.compress.calibration import Calibration, LayerMoment, LayerRows, mirrored
from paredown.compress.ranges import read_parts
from paredown.compress.stages import Reduction
from paredown.space.configuration import Configuration
from paredown.space.inventory import Inventory

PATH = "decoder.decoders.0.feed_forward.w_2"
# With OpenBLAS's kernels for Haswell, sums of all these shapes would depend on the number of threads.
SHAPES = [(inputs, rank) for inputs in (256, 512) for rank in (17, 100)]
THREADS = 4


def products(inputs: int, rank: int) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """What `up` reads of 200 rows, and its moment."""
    rng = np.random.default_rng(inputs + rank)
    rows, down = rng.standard_normal((200, inputs), dtype=np.float32), rng.standard_normal((rank, inputs), dtype=np.float32)
    heard = LayerRows((PATH,), rows, rows.min(axis=1), rows.max(axis=1), rows.min(axis=0), rows.max(axis=0))
    moment = LayerMoment((PATH,), mirrored(rng.standard_normal((inputs, inputs), dtype=np.float32)))
    configuration, parameters = Configuration(rank=((PATH, rank),)), {f"{PATH}.down.weight": down}
    *_, (part, read) = read_parts(heard, PATH, configuration, parameters, {})
    assert part == f"{PATH}.up"
    calibration = Calibration((moment,), (heard,), "5" * 64, 1)
    found = Reduction({}, Inventory((), (), ()), configuration).moment(part, calibration, parameters)
    assert found is not None
    return read.rows, found


@pytest.mark.parametrize("index", [0, 1], ids=["rows", "moment"])
def test_threads_change_nothing(index: int) -> None:
    for shape in SHAPES:
        with threadpool_limits(1, user_api="blas"):
            wanted = products(*shape)[index]
        with threadpool_limits(THREADS, user_api="blas"):
            assert np.array_equal(products(*shape)[index], wanted), shape
