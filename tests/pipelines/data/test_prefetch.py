"""Work in threads: in order, few items ahead, and stopped early."""

import threading

from pipelines.data.prefetch import prefetch


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
