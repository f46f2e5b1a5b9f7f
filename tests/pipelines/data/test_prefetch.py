"""Work in threads: in order, few items ahead, and stopped early."""

import threading
from concurrent.futures import ThreadPoolExecutor

from pipelines.data.prefetch import MemoryBudget, prefetch


def test_prefetch_keeps_the_order_and_stays_few_items_ahead():
    started: list[int] = []
    lock = threading.Lock()

    def work(item: int) -> int:
        with lock:
            started.append(item)
        return item * item

    results = prefetch(work, range(50), ahead=5)
    assert [next(results) for _ in range(3)] == [0, 1, 4]
    assert len(started) <= 8
    assert list(results) == [item * item for item in range(3, 50)]


def test_prefetch_stops_early_without_running_the_rest():
    ran: list[int] = []
    results = prefetch(ran.append, range(1000), ahead=4)
    next(results)
    results.close()
    assert len(ran) <= 10


def test_threads_never_hold_more_bytes_than_the_budget_has():
    budget, lock = MemoryBudget(100), threading.Lock()
    held: list[int] = []
    most: list[int] = []

    def work(size: int) -> None:
        with budget.hold(size):
            with lock:
                held.append(size)
                most.append(sum(min(other, 100) for other in held))
            with lock:
                held.remove(size)

    sizes = [30, 70, 5, 100, 1000, 60, 1] * 60
    with ThreadPoolExecutor(12) as threads:
        list(threads.map(work, sizes))
    assert len(most) == len(sizes)
    assert max(most) <= 100


def test_memory_is_free_again_after_an_error():
    budget = MemoryBudget(10)
    for _ in range(3):
        try:
            with budget.hold(10):
                raise ValueError
        except ValueError:
            pass
    with budget.hold(10):
        pass
