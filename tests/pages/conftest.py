"""What the tests of pages share."""

from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from core.vision.litert import Network

KEPT = 300
_answers: OrderedDict[tuple[str, tuple[int, ...], str], list[np.ndarray]] = OrderedDict()


@pytest.fixture(scope="session", autouse=True)
def networks_know_their_files():
    load = Network.__init__

    def loaded(self: Network, path: Path | str, num_threads: int | None = None) -> None:
        load(self, path, num_threads)
        self.digest = blake2b(Path(path).read_bytes()).hexdigest()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "__init__", loaded)
        yield


@pytest.fixture(autouse=True)
def networks_answer_once(monkeypatch):
    """Hundreds of tests open pages on the same pictures: each network looks once at each of them. It is still opened
    every time, and another file or other pixels make it look again.
    """
    look = Network.__call__

    def answered(self: Network, pixels_rgb: np.ndarray) -> list[np.ndarray]:
        if not hasattr(self, "digest"):  # kept from the test of another folder
            return look(self, pixels_rgb)
        seen = (self.digest, pixels_rgb.shape, blake2b(np.ascontiguousarray(pixels_rgb)).hexdigest())
        if seen not in _answers:
            _answers[seen] = look(self, pixels_rgb)
            if len(_answers) > KEPT:
                _answers.popitem(last=False)
        return [answer.copy() for answer in _answers[seen]]

    monkeypatch.setattr(Network, "__call__", answered)
