"""The dashboard's page in headless Chromium, clicked through as a reader would."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_sched.dashboard.app import page_files
from rl_sched.dashboard.report_page import _inlined
from rl_sched.policies import POLICIES
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.simulator import simulate
from rl_sched.testing.browser import Browser, browsing, chromium
from rl_sched.testing.dashboard_server import served

VIEWS = ("race", "details", "history", "hybrid", "api")
#: What the page may weigh, bytes.
MAX_WEIGHT = 5 * 1024 * 1024
needs_browser = pytest.mark.skipif(chromium() is None, reason="needs Chromium: apt-get install chromium")


def test_the_page_is_light_and_names_no_other_machine() -> None:
    files = page_files()
    assert sum(map(len, files.values())) < MAX_WEIGHT
    for name, content in files.items():
        addresses = re.findall(rb"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", content)
        assert [a for a in addresses if b"www.w3.org" not in a] == [], name


def test_scripts_import_only_each_other_and_what_is_there() -> None:
    files = {name: content.decode() for name, content in page_files().items() if name.endswith(".js")}
    exported = {
        name: set(re.findall(r"^export (?:async )?(?:function|const) (\w+)", s, re.M)) for name, s in files.items()
    }
    for name, script in files.items():
        for names, source in re.findall(r"^import \{([^}]*)\} from \"\./([\w.]+)\";", script, re.M):
            missing = {n.strip() for n in names.split(",")} - exported[source]
            assert not missing, f"{name} imports {missing} from {source}"


def test_scripts_of_the_report_share_one_scope_without_meeting() -> None:
    scripts = [_inlined(page_files()[name].decode()) for name in ("ui.js", "charts.js", "report.js")]
    names = [n for s in scripts for n in re.findall(r"^(?:async )?(?:function|const|let) (\w+)", s, re.M)]
    assert len(names) == len(set(names)), sorted({n for n in names if names.count(n) > 1})
    assert not any("import " in line or line.startswith("export") for s in scripts for line in s.splitlines())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture
def page() -> Iterator[Browser]:
    with browsing() as one:
        one.size(1280, 900)
        yield one


def _visit(page: Browser, view: str) -> None:
    page.click(f'nav a[href="#{view}"]')
    page.until(f"!document.getElementById('view-{view}').hidden")


def _standing(policy: str) -> str:
    """JavaScript for the mean JCT in the table of the race."""
    return f"document.querySelector('tr[data-lane=\"rule:{policy}\"] td:nth-child(5)').dataset.value"


@needs_browser
@pytest.mark.slow
def test_a_race_from_its_start_to_its_report(page: Browser, data: Path) -> None:
    with served(data) as server:
        page.open(server.address)
        page.until("document.querySelectorAll('.pick input:checked').length === 4")
        page.js("document.querySelector('main select[aria-label^=Speed]').value = 300")
        page.click("button.main", "Start")
        page.until("rlSched.state === 'running' && rlSched.clock_s > 100")
        page.click("button", "Pause")
        page.until("rlSched.state === 'paused'")
        clock = page.js("rlSched.clock_s")
        decisions = page.js("rlSched.lanes[0].decisions")
        page.click("button", "Step")
        page.until(f"rlSched.lanes[0].decisions === {decisions + 1}")
        assert server.get("/api/status")["clock_s"] >= clock
        page.js("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '.', bubbles: true}))")
        page.until(f"rlSched.lanes[0].decisions === {decisions + 2}")

        _visit(page, "details")
        page.click("#view-details button.link")
        page.until("document.querySelector('#view-details').textContent.includes('What the other policies would have')")
        page.until("document.querySelectorAll('#view-details tr.chosen').length === 1")

        page.js("document.body.dispatchEvent(new KeyboardEvent('keydown', {key: ' ', bubbles: true}))")
        page.until("rlSched.state === 'running'")
        assert server.post("/api/speed", {"speed": 0})[0] == 200
        page.until("rlSched.state === 'finished'")
        _visit(page, "race")
        scenario = SCENARIOS.create("default")
        workload = scenario.workload(scenario.seeds.val[0])
        for name in ("fifo_backfill", "min_min"):
            alone = simulate(POLICIES.create(name), workload, scenario.cluster, scenario.rules)
            mean_s = float(alone.jct_s.mean())
            page.until(f"Math.abs({_standing(name)} - {mean_s!r}) < 1e-9")
            text = page.js(f"document.querySelector('tr[data-lane=\"rule:{name}\"] td:nth-child(5)').textContent")
            assert text == f"{mean_s:,.1f} s"

        server.until(lambda: len(server.get("/api/full_history")) == 4)
        for view in VIEWS:
            _visit(page, view)
            page.js("new Promise(done => setTimeout(done, 400))")
            for width, theme in ((400, "dark"), (1280, "light")):
                page.size(width, 900, theme)
                page.until(f"innerWidth === {width}")
                assert page.js("document.documentElement.scrollWidth") <= width, f"{view} is wider than {width}"
        _visit(page, "history")
        page.until("document.querySelectorAll('#view-history tbody tr').length >= 4")

        assert server.post("/api/reset")[0] == 200
        page.until("rlSched.state === 'paused'")
        server.kill()
        page.until("document.getElementById('connection').textContent.includes('no connection')")
        page.errors.clear()  # of the broken connection
    with served(data, server.port) as again:
        page.until("rlSched.connected && rlSched.state === 'idle'")
        assert len(again.get("/api/full_history")) == 4  # the history has outlived it
        _visit(page, "race")
        page.click("button.main", "Start")
        page.until("rlSched.state === 'running'")
    assert [e for e in page.errors if "WebSocket" not in e and "ERR_CONNECTION" not in e] == []
    assert all(re.match(r"(https?|ws)://127\.0\.0\.1:|data:|about:", url) for url in page.requests)


@needs_browser
@pytest.mark.slow
def test_a_refused_race_says_why_and_an_empty_page_says_what_to_do(page: Browser, data: Path) -> None:
    with served(data / "empty") as server:
        page.open(f"{server.address}/#race")
        page.until("document.body.textContent.includes('Choose policies above and press Start')")
        page.until("document.querySelectorAll('.pick input:checked').length === 4")
        page.until("!!document.querySelector('input[placeholder^=a100]')")
        page.js("document.querySelector('input[placeholder^=a100]').value = 'b200:1x8'")
        page.click("button.main", "Start")
        page.until("document.querySelector('[role=alert]').textContent.includes('Unknown GPU type')")
        for view, words in (("details", "Start one in the view Race"), ("history", "No race has come to its end")):
            _visit(page, view)
            page.until(f"document.getElementById('view-{view}').textContent.includes({json.dumps(words)})")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize("seen_by", ["scrolling", "printing"])
def test_charts_out_of_sight_are_drawn_when_they_are_seen(page: Browser, data: Path, seen_by: str) -> None:
    colours = (
        "(c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size)"
        "([...document.querySelectorAll('#view-race canvas')].at(-1))"
    )
    with served(data / seen_by) as server:
        body = {"workload": "scenario:default", "policies": ["rule:min_min", "rule:fifo_backfill"], "speed": 0}
        assert server.post("/api/start", body)[0] == 200
        server.until_state("finished")
        page.open(server.address)
        page.until("rlSched.state === 'finished' && document.querySelectorAll('#view-race canvas').length === 4")
        page.js("new Promise(done => setTimeout(done, 300))")
        assert page.js(colours) == 1
        if seen_by == "scrolling":
            page.js("window.scrollTo(0, document.body.scrollHeight), undefined")
        else:
            page.command("Page.printToPDF")
        page.until(f"{colours} > 8")
        assert page.errors == []


@needs_browser
@pytest.mark.slow
def test_the_report_page_opens_from_disk(page: Browser, tmp_path: Path) -> None:
    from rl_sched import simulate as verb

    file = tmp_path / "report.html"
    command = ["--format", "synthetic", "--trace-param", "num_jobs=60", "--trace-param", "priorities=0,1"]
    command += ["--cluster", "a100:1x8,v100:1x4", "--policy", "fifo_backfill,srtf", "--report", str(file)]
    assert verb.main(command) == 0
    page.open(file.as_uri())
    page.until("document.querySelectorAll('canvas').length === 8")
    painted = "[...document.querySelectorAll('canvas')].every(c => new Set(c.getContext('2d')" + (
        ".getImageData(0, 0, c.width, c.height).data).size > 8)"
    )
    page.until(painted)
    for words in ("Fairness", "Energy and cost", "Completion times by priority: srtf", "Utilisation of nodes"):
        assert words in page.js("document.body.textContent")
    for width in (400, 1280):
        page.size(width, 900, "dark")
        page.until(f"innerWidth === {width}")
        assert page.js("document.documentElement.scrollWidth") <= width
    assert page.errors == [] and all(url.startswith(("file:", "data:", "about:")) for url in page.requests)
