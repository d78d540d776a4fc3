"""The page to play with is what its script builds, stands alone, and holds the shipped model."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np

import tinyproto

ROOT = Path(__file__).parent.parent.parent
PLAY = ROOT / "docs" / "play"
PAGE = PLAY / "index.html"


def page_data():
    """The model and the digits in the page."""
    return json.loads(re.search(r'id="data">(.*?)</script>', PAGE.read_text())[1])


def test_the_page_is_what_its_script_builds(tmp_path):
    built = tmp_path / "index.html"
    subprocess.run([sys.executable, str(PLAY / "build.py"), str(built)], check=True)
    assert built.read_text() == PAGE.read_text(), "run python docs/play/build.py"


def test_it_is_one_small_file_that_loads_nothing():
    text = PAGE.read_text()
    assert len(text.encode()) < 1_000_000
    assert not re.search(r"<(?:link|img|iframe|script)[^>]*(?:src|href)=", text)
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|import\(", text)
    addresses = set(re.findall(r"https?://[^\"'\s]+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}, "the name of SVG, which nothing loads"


def test_its_sources_are_short():
    sources = [*PLAY.glob("src/*.js"), PLAY / "style.css", PLAY / "template.html"]
    assert len(sources) > 10
    assert [path.name for path in sources if len(path.read_text().splitlines()) > 350] == []


def test_its_links_lead_to_files_and_to_parts_of_it():
    text = PAGE.read_text()
    links = re.findall(r'href="([^"]+)"', text)
    assert len(links) > 10
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text, link
        else:
            assert (PLAY / link).is_file(), link


def luminance(colour):
    """Relative luminance of "#rrggbb" (WCAG 2.1)."""
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_its_text_can_be_read_in_light_and_dark():
    """A contrast of 4.5 (WCAG 2.1, level AA)."""
    schemes = re.findall(r":root \{(.*?)\}", (PLAY / "style.css").read_text(), re.DOTALL)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#\w{6});", scheme))
        for name in ("ink", "quiet", "accent"):
            light, dark = sorted(map(luminance, (colours[name], colours["paper"])))[::-1]
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, colours[name])


def test_it_holds_the_shipped_model():
    data, network = page_data(), tinyproto.load("mnist-ed-wta")
    for kind in ("positive", "negative"):
        weights = np.frombuffer(base64.b64decode(data[kind]), "<f2").reshape(-1, 784)
        np.testing.assert_array_equal(weights, getattr(network, f"{kind}_prototypes_"))
    assert data["beta"] == network.beta_
    assert data["perClass"] * 10 == len(network.prototype_labels_)
    assert [data["labels"].count(c) for c in range(10)] == [20] * 10
