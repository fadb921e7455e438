"""Which device is chosen, and in which numbers ``auto`` computes on which processor."""

import platform
import socket
from datetime import timedelta

import pytest
import torch
from torch.backends import cudnn

from skipwise.studies.launchers.machine import visible_gpus
from skipwise.studies.launchers.ray import Cluster
from skipwise.training import (
    DEVICE,
    choose_device,
    has_fast_bfloat16,
    is_first_to_tell,
    join,
    processes,
    settle_kernels,
)
from skipwise.training.processes import World, take_gpu

CPU = torch.device("cpu")


def with_gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> list[torch.device]:
    """Let torch say that there are so many GPUs; give which were made the current one."""
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    return chosen


def test_the_environment_chooses_the_device(monkeypatch: pytest.MonkeyPatch):
    chosen = with_gpus(monkeypatch, 2)
    assert choose_device() == torch.device("cuda")
    for word in ("cpu", "cuda"):
        monkeypatch.setenv(DEVICE, word)
        assert choose_device() == torch.device(word)
    assert chosen == []
    monkeypatch.setenv(DEVICE, "cuda:1")
    assert choose_device() == torch.device("cuda:1")
    assert chosen == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("gpus", "word", "there"),
    [
        (0, "cuda", "cpu"),
        (0, "mps", "cpu"),
        (1, "cuda:1", "cpu, cuda, cuda:0"),
        (2, "gpu", "cpu, cuda, cuda:0, cuda:1"),
    ],
)
def test_a_device_that_is_not_here_is_refused_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, gpus: int, word: str, there: str
):
    with_gpus(monkeypatch, gpus)
    monkeypatch.setenv(DEVICE, word)
    told = f"^SKIPWISE_DEVICE={word} names no device .* on here; there is {there}$"
    with pytest.raises(ValueError, match=told):
        choose_device()


def test_float32_is_no_tf32_and_steps_repeat_whatever_the_precision_of_a_run():
    with cudnn.flags(deterministic=False, allow_tf32=True):
        settle_kernels(torch.device("cuda"))
        assert (cudnn.deterministic, cudnn.allow_tf32) == (True, False)


def test_a_gpu_that_torchrun_gives_to_another_process_is_refused(monkeypatch: pytest.MonkeyPatch):
    taken = with_gpus(monkeypatch, 2)
    with pytest.raises(ValueError, match=r"cuda:1 contradicts torchrun, .*cuda:0; set"):
        take_gpu(torch.device("cuda:1"), World(rank=2, size=3, local_rank=0))
    with pytest.raises(ValueError, match=r"process 2 of this machine has no GPU, there are 2; st"):
        take_gpu(torch.device("cuda"), World(rank=2, size=3, local_rank=2))
    assert taken == []
    take_gpu(torch.device("cuda"), World(rank=1, size=3, local_rank=1))
    assert taken == [1]


def test_who_meets_nobody_tells_it(monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    for name, value in ranks.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes, "_unmet", [])
    assert not is_first_to_tell()  # what all know is told by the first
    with pytest.raises(ValueError, match="process 1 of 2 did not meet the others"):
        join(within=timedelta(seconds=1))
    assert is_first_to_tell()
    monkeypatch.setattr(processes, "_unmet", [])
    monkeypatch.setenv("RANK", "2")
    assert is_first_to_tell()


@pytest.mark.parametrize(
    ("word", "visible", "workers"),
    [
        ("", "", ["0", "1"]),
        ("cpu", "", []),
        ("cuda", "3,5", ["3", "5"]),
        ("cuda:1", "", ["1"]),
        ("cuda:1", "3,5", ["5"]),
    ],
)
def test_workers_of_a_study_take_the_gpus_that_were_chosen(
    monkeypatch: pytest.MonkeyPatch, word: str, visible: str, workers: list[str]
):
    with_gpus(monkeypatch, 2)
    monkeypatch.setenv(DEVICE, word)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_gpus() == workers


def test_a_device_of_nodes_elsewhere_is_not_named_here(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(DEVICE, "cpu")
    with pytest.raises(ValueError, match="does not reach the nodes of a Ray cluster; set it where"):
        Cluster(address="node:6379")


@pytest.mark.parametrize(
    ("amx", "avx512", "maker", "fast"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "AuthenticAMD", True),
        (False, True, "GenuineIntel", False),  # 180 against 340 GFLOP/s in a 3×3 convolution
        (False, False, "AuthenticAMD", False),
    ],
)
def test_bfloat16_is_chosen_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, amx: bool, avx512: bool, maker: str, fast: bool
):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: f"vendor_id\t: {maker}\n")
    assert has_fast_bfloat16(CPU) is fast


def test_where_the_system_has_no_such_file_its_processor_is_asked(monkeypatch: pytest.MonkeyPatch):
    def missing(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr("pathlib.Path.read_text", missing)
    monkeypatch.setattr(platform, "processor", lambda: "AMD64 Family 25, AuthenticAMD")
    assert has_fast_bfloat16(CPU)
