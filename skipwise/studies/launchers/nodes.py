"""What a Ray cluster is seen to be: where its head is, and how many runs its nodes can do.

Plain functions of what Ray tells, and a look at the head now and then: without it Ray would wait
for ever where no node is left, and end this process where the head is gone.
"""

import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any, final

REACH_SECONDS = 5.0
LOOK_SECONDS, PATIENCE_SECONDS = 5.0, 30.0  # after a minute without its head Ray ends the process
KEPT = "what was saved is kept, and the same command goes on"


def host_and_port(address: str) -> tuple[str, int]:
    """Read the address of a cluster.

    >>> host_and_port("ray://10.0.0.1:10001")
    ('10.0.0.1', 10001)

    Raises:
        ValueError: If it is none.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise ValueError(
            f"{address!r} is no address of a Ray cluster; give host:port, 127.0.0.1:6379 for"
            " example, or ray://host:port, or local for one on this machine"
        )
    return host.strip("[]"), int(port)


def share(nodes: Sequence[Mapping[str, Any]], threads: int) -> tuple[dict[str, int], int]:
    """Give what a task asks Ray for, and how many tasks can run at the same time.

    Where there are GPUs a task takes one, or Ray would hide all of them from it.

    >>> share([{"Alive": True, "Resources": {"CPU": 5.0, "GPU": 1.0}}], 2)
    ({'num_cpus': 2, 'num_gpus': 1}, 1)

    Args:
        nodes: What ``ray.nodes()`` gives.
        threads: Of a task.

    Raises:
        ValueError: If no node could ever run one.
    """
    found = [node["Resources"] for node in nodes if node["Alive"]]
    wanted = {"CPU": threads}
    if any(has.get("GPU", 0) >= 1 for has in found):
        wanted["GPU"] = 1
    tasks = sum(min(int(has.get(k, 0) // v) for k, v in wanted.items()) for has in found)
    if not tasks:
        most = max((has.get("CPU", 0) for has in found), default=0)
        gpu = " and a GPU" if "GPU" in wanted else ""
        raise ValueError(
            f"no node of the Ray cluster has the {threads} processor{'s' * (threads != 1)}{gpu}"
            f" that a run of this study takes (the most processors are {most:g}); add a node, or"
            " begin a study in another folder with more --jobs, whose runs take fewer"
        )
    return {f"num_{name.lower()}s": count for name, count in wanted.items()}, tasks


def in_line(error: Exception, *, first: bool = False) -> str:
    """Give the line of Ray's text that says what is wrong: the last of a traceback."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0 if first else -1] if lines else type(error).__name__


@final
class Head:
    """The head of a cluster, which is looked at now and then."""

    def __init__(self, ray: Any, place: tuple[str, int], threads: int):
        self.ray, self.place, self.threads = ray, place, threads
        self.looked = self.well = time.perf_counter()

    def check(self) -> None:
        """Ask whether the cluster is there and could run a task.

        Raises:
            ValueError: If it could not for a while.
        """
        now = time.perf_counter()
        if now - self.looked < LOOK_SECONDS:
            return
        self.looked = now
        try:
            socket.create_connection(self.place, timeout=REACH_SECONDS).close()
            share(self.ray.nodes(), self.threads)
            self.well = now
        except (OSError, ValueError, self.ray.exceptions.RayError) as error:
            if now - self.well > PATIENCE_SECONDS:
                gone = "the Ray cluster no longer answers: " if isinstance(error, OSError) else ""
                raise ValueError(f"{gone}{in_line(error)}; {KEPT}") from None
