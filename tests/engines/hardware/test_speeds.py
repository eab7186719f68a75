"""Places: this machine's GPUs by the driver's name, alike ones together, strangers taken for a card that is known."""

from __future__ import annotations

import pytest

from engines import A100, LISTED, RTX_4090, T4, Device, of_devices, places
from engines.hardware.speeds import card


def gpu(label: str, capability: tuple[int, int], gigabytes: float, number: int = 0) -> Device:
    dtype = "bfloat16" if capability >= (8, 0) else "float16"
    return Device(f"cuda:{number}", label, capability, int(gigabytes * 1e9), dtype, "for the test")


@pytest.mark.parametrize(
    ("label", "known"),
    [
        ("Tesla T4", "T4"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100-SXM4-40GB", "A100-SXM4-40GB"),
        ("NVIDIA A100 80GB PCIe", "A100"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
    ],
)
def test_a_card_is_known_by_the_name_that_its_driver_gives(label: str, known: str) -> None:
    found = card(label)
    assert found is not None and found.label == known


def test_alike_gpus_are_one_place_with_their_own_memory_and_dtype() -> None:
    [two] = of_devices((gpu("Tesla T4", (7, 5), 15.6), gpu("Tesla T4", (7, 5), 15.6, 1)))
    assert (two.name, two.count, two.memory_bytes, two.dtype) == ("this machine's 2 Tesla T4", 2, 15.6e9, "float16")
    assert (two.flops, two.note) == (T4.flops, "")
    mixed = of_devices((gpu("Tesla T4", (7, 5), 15.6), gpu("NVIDIA L4", (8, 9), 23.6, 1)))
    assert [place.count for place in mixed] == [1, 1]


def test_a_card_that_is_not_listed_says_whose_speed_is_taken_for_its_own() -> None:
    [new] = of_devices((gpu("NVIDIA Titan of 2031", (14, 0), 300.0),))
    assert (new.memory_bytes, new.dtype) == (300e9, "bfloat16")
    assert "Titan of 2031 is in no table" in new.note and "RTX 3090" in new.note


def test_every_plan_names_the_cpu_first_and_the_cards_that_people_have() -> None:
    found = places("float32")
    assert found[0].kind == "cpu" and found[0].flops > 1e8 and found[0].bytes_per_second > 1e8
    speeds = {place.flops for place in found[1:]}
    assert {place.flops for place in LISTED} <= speeds
    assert (T4.dtype, RTX_4090.dtype, A100.dtype) == ("float16", "bfloat16", "bfloat16")
