"""Clients that ask a server for GroupBy `t.both` of `stores`, once or all the time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import httpx
from served_process import WAIT_S, ServedProcess
from stores import ANN, AT_MS, MERGED

PATH = f"/v1/features/groupby/t.both?at={AT_MS}"


def until(is_so: Callable[[], bool]) -> None:
    """Waits for a fact, longer than any busy machine takes."""
    pause, until_s = Event(), time.monotonic() + WAIT_S
    while not is_so():
        assert time.monotonic() < until_s
        pause.wait(0.05)


def results(client: httpx.Client, path: str = PATH) -> list[dict[str, object]]:
    answer = client.post(path, json=[ANN])
    return answer.json().get("results", [{"status": answer.status_code}])


@contextmanager
def asking(server: ServedProcess) -> Iterator[set[str]]:
    """Four clients that ask all the time; gives which answers there have been."""
    ended, seen = Event(), set[str]()

    def ask() -> None:
        with httpx.Client(base_url=server.client.base_url, timeout=600) as client:
            while not ended.is_set():
                [result] = results(client)
                # A row has its whole answer or has failed: half an answer would be another value.
                whole = result.get("features", MERGED) == MERGED
                seen.add(f"{result['status']} {whole}")

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()
