"""What the book makes of the modules: one script, a first network, a picture, colours."""

import re

from networks import random_network

import splinelib as sl
from splinelib.plotting.palette import COLOURS
from splinelib.plotting.scripts import MODULES, bundle, figures_script
from tools import playground
from tools.chapters import ROOT


def test_the_script_holds_every_module_once_and_runs_from_a_file(browser, tmp_path):
    text, figures = bundle(MODULES / "playground.js"), figures_script()
    for path in MODULES.glob("*.js"):
        counts = [script.count(f"modules.{path.stem} = ") for script in (text, figures)]
        assert max(counts) == 1, path.name
    (tmp_path / "script.js").write_text(text)
    page_text = "<!doctype html><div class='sl-playground'></div><script src='script.js'></script>"
    (tmp_path / "page.html").write_text(page_text)
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    page.wait_for_function("() => document.querySelector('.pg-facts')?.textContent")
    regions = len(sl.partition(playground.read_start()))
    assert f"{regions} regions" in page.locator(".pg-facts").first.inner_text()
    page.locator(".pg-reset").click()
    page.wait_for_function("() => location.hash.startsWith('#playground=1')")
    assert errors == []
    page.close()


def test_the_picture_is_that_of_the_first_network():
    assert playground.PICTURE.read_text() == playground.picture(playground.read_start())


def test_the_picture_shows_every_edge_and_the_boundary():
    model = random_network([5, 3], 2).double()
    part, text = sl.partition(model), playground.picture(model)
    inner = (part.edge_source[:, 0] >= 0).sum()
    assert text.count("M") == inner + 2 * len(part.decision_boundary())
    assert f"into {len(part)} regions" in text


def test_the_page_describes_the_file_and_reads_it_as_shown(tmp_path, monkeypatch, capsys):
    text = (ROOT / "book/playground.md").read_text()
    shown, code = (re.search(f"```{kind}\n(.*?)```", text, re.S)[1] for kind in ("json", "python"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.json").write_text(shown)
    exec(code, {})
    assert capsys.readouterr().out == f"{len(sl.partition(sl.models.from_json(shown)))} regions\n"


def test_colours_are_those_of_the_palette():
    styles = (MODULES / "playground.css").read_text()
    pairs = re.findall(r"--sl-(\w+): light-dark\((#\w+), (#\w+)\);(?: /\* (\w+) \*/)?", styles)
    assert len(pairs) > 15
    for name, light, dark, of in pairs:
        assert COLOURS[of or name] == (light, dark), name


def test_the_modules_are_small_and_say_what_they_do():
    for path in MODULES.glob("*.js"):
        text = path.read_text()
        assert text.startswith("/**"), path.name
        assert len(text.splitlines()) <= 400, path.name
