"""In which numbers ``auto`` computes on which processor."""

import platform

import pytest
import torch

from skipwise.training import has_fast_bfloat16

CPU = torch.device("cpu")


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
