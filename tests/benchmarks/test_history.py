"""The benchmark of history at a size that says nothing about speed."""

from __future__ import annotations

from benchmarks import history


def test_a_history_grows_to_what_was_asked_and_answers_its_questions() -> None:
    said: list[str] = []
    result = history.run([2_000, 10_000], said.append, devices=50, new=500)
    first, second = result["cases"]
    assert 2_000 <= first["rows"] < 3_000
    assert 10_000 <= second["rows"] < 14_000
    for case in (first, second):
        assert case["bytes_per_report"] > 1
        assert case["sink_rows_per_second"] > 0
        assert case["question_ms"].keys() == history.QUESTIONS.keys()
