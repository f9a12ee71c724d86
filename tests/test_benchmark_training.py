"""The training benchmark runs and prints what it promises."""

from __future__ import annotations

import json

import pytest

from benchmarks.training import main


@pytest.mark.slow
def test_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "--steps", "8000", "--repeats", "1"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert set(out) == {"machine", "figures"} and out["machine"]["cores"] >= 1
    assert [figure["name"] for figure in out["figures"]] == [
        "PPO end to end, cross_attention",
        "PPO end to end, mlp",
        "dqn end to end",
        "sac end to end",
        "greedy decision, p99, cross_attention",
        "greedy decision, p99, mlp",
    ]
    for figure in out["figures"]:
        assert set(figure) == {"name", "unit", "ours", "peer", "peer_name", "ratio"}
        assert figure["ratio"] == pytest.approx(figure["ours"] / figure["peer"])
        assert figure["ours"] > (0 if figure["unit"] == "ms" else 100)
