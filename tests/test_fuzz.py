"""What people bring, damaged at random, for a minute: see ``tests.fuzz``."""

import pytest

pytest.importorskip("resource", reason="limits on time and memory need Unix")

from tests.fuzz import fuzz, targets

SECONDS = 60


@pytest.mark.slow
@pytest.mark.parametrize("name", targets())
def test_any_bytes_give_a_result_or_a_sentence(name):
    known = targets()
    assert fuzz(known[name], SECONDS / len(known), seed=1) > 0
