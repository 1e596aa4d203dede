"""The benchmark of scale at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import scale


def test_every_number_of_devices_is_measured_in_a_process_of_its_own() -> None:
    said: list[str] = []
    result = scale.run([40, 80], said.append, chunk=20, chunks=3)
    assert [case["devices"] for case in result["cases"]] == [40, 80]
    assert len(said) == 2
    for case in result["cases"]:
        assert case["checkpoint_bytes_per_device"] > 100
        assert case["decode_us_per_report"] > 0
        assert case["detect_us_per_report"] > 0
