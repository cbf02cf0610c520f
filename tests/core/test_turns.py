import threading
import time

import pytest

import core.turns as module
from core.turns import Turns
from tests.helpers import wait_until


def together(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_than_allowed_work_at_once_and_all_get_their_turn(at_once):
    turns, working, most, done = Turns(at_once), [], [], []

    def work(me):
        for _ in range(3):
            with turns.turn():
                working.append(me)
                most.append(len(working))
                time.sleep(0.002)
                working.remove(me)
        done.append(me)

    together(*(lambda me=me: work(me) for me in range(8)))
    assert max(most) == at_once and sorted(done) == list(range(8))


def test_who_brings_one_photo_does_not_wait_for_all_of_who_brings_many():
    turns, order, held = Turns(), [], threading.Event()

    def many():
        for number in range(10):
            with turns.turn():
                order.append(f"many {number}")
                if not number:
                    assert held.wait(5)

    def one():
        wait_until(lambda: order)
        with turns.turn(lambda before: held.set()):
            order.append("one")

    together(many, one)
    assert order.index("one") == 1


def test_ten_at_once_wait_no_more_than_three_times_the_mean():
    turns, waits, start = Turns(2), [], threading.Barrier(10)

    def visitor():
        start.wait(5)
        asked = time.monotonic()
        for _ in range(3):
            with turns.turn():
                time.sleep(0.005)
        waits.append(time.monotonic() - asked)

    together(*[visitor] * 10)
    assert max(waits) <= 3 * sum(waits) / len(waits)


def test_everybody_hears_their_place_and_who_leaves_gives_it_up(monkeypatch):
    monkeypatch.setattr(module, "TELL_S", 0.002)
    turns, heard, go = Turns(), [], threading.Event()

    def first():
        with turns.turn():
            assert go.wait(5)

    def leaves():
        def tell(before):
            heard.append(before)
            if len(heard) == 3:
                raise InterruptedError

        with pytest.raises(InterruptedError), turns.turn(tell):
            raise AssertionError("it never was its turn")
        go.set()

    def last():
        wait_until(lambda: heard)
        with turns.turn():
            assert go.is_set()

    together(first, leaves, last)
    assert heard == [1, 1, 1]
