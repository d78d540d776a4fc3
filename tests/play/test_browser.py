"""The page in Chromium without a window: by mouse and keyboard, on a phone and a wide screen."""

import json
import re
import shutil

import numpy as np
import pytest

from tests.play.test_numerics import EPS, HERE, check_against_python, digit_question, shipped
from tests.play.test_page import PAGE, page_data
from tinyproto.attacks import Victim, pgd
from tinyproto.prototypes import exact_radius

pytestmark = pytest.mark.slow

SCRIPT_SECONDS = 120
OPTIONS = [
    *("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-sync"),
    *("disable-background-networking", "disable-component-update"),
]


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    """Chromium, driven by Selenium. Skips where one of them is not installed."""
    selenium = pytest.importorskip("selenium.webdriver", reason="needs pip install selenium")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    service = shutil.which("chromedriver")
    if chromium is None or service is None:
        pytest.skip("needs Chromium: apt install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for option in (*OPTIONS, f"user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=selenium.ChromeService(service))
    driver.set_script_timeout(SCRIPT_SECONDS)
    yield driver
    driver.quit()


@pytest.fixture
def page(driver):
    """The page, opened anew; afterwards its console has to be empty."""
    open_page(driver, 1280, "light")
    yield driver
    assert driver.get_log("browser") == []


def open_page(driver, width, scheme):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    preferences = {"prefers-color-scheme": scheme, "prefers-reduced-motion": "reduce"}
    features = [{"name": name, "value": value} for name, value in preferences.items()]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    driver.get(PAGE.as_uri())
    wait_for_picture(driver)


def wait_for_picture(driver):
    """Until what was asked for before is shown."""
    driver.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(done))"
    )


def by_id(page, name):
    return page.find_element("id", name)


def text_of(page, name):
    wait_for_picture(page)
    return by_id(page, name).text


def press(page, *keys):
    """Keys, to what has the focus."""
    from selenium.webdriver import ActionChains

    ActionChains(page).send_keys(*keys).perform()


def drag(page, element, across, down, start=(0, 0)):
    """From a place, counted from the element's middle, by so many pixels."""
    from selenium.webdriver import ActionChains

    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    chain = ActionChains(page, duration=20).move_to_element_with_offset(element, *start)
    chain.click_and_hold().move_by_offset(across, down).release().perform()


def focus_by_tab(page, script):
    """Press Tab until the element with the focus makes the script true."""
    from selenium.webdriver.common.keys import Keys

    for _ in range(120):
        if page.execute_script(f"const at = document.activeElement; return {script}"):
            return
        press(page, Keys.TAB)
    raise AssertionError(f"Tab never leads to {script}")


def test_its_answers_are_those_of_python(page):
    """Scores to 1e-4, radii, and the verdicts of FGSM and PGD, for all 200 digits."""
    code = f"{(HERE / 'answer.js').read_text()}\nreturn JSON.stringify(answer(arguments[0]))"
    found = json.loads(page.execute_script(code, digit_question(1)))
    assert len(found["scores"]) == 200
    check_against_python(found, *shipped(), EPS, 1, 1e-3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_its_window(driver, width, scheme):
    open_page(driver, width, scheme)
    by_id(driver, "guess-yes").click()
    assert by_id(driver, "truth").is_displayed()
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width
    ink = driver.execute_script("return getComputedStyle(document.body).color")
    assert (sum(map(int, re.findall(r"\d+", ink)[:3])) > 380) == (scheme == "dark")
    assert driver.get_log("browser") == []


def test_every_control_and_picture_has_a_name(page):
    unnamed = page.execute_script(
        """return [...document.querySelectorAll('input, button, select, canvas, svg, [tabindex]')]
        .filter((e) => !e.closest('[aria-hidden], [hidden]') && !e.ariaLabel && !e.labels?.length
          && !e.textContent.trim()).map((e) => e.outerHTML)"""
    )
    assert unnamed == []


def test_a_point_moves_by_mouse_and_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    before = text_of(page, "plane-report")
    handle = page.find_element("css selector", ".handle.input")
    drag(page, handle, 300, -80)
    moved = text_of(page, "plane-report")
    assert "the class is A" in before
    assert "the class is B" in moved
    focus_by_tab(page, "at.classList.contains('input')")
    press(page, Keys.ARROW_LEFT)
    wait_for_picture(page)
    first = float(handle.get_attribute("aria-valuenow"))
    press(page, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    wait_for_picture(page)
    assert float(handle.get_attribute("aria-valuenow")) == pytest.approx(first - 0.02)
    drag(page, page.find_element("css selector", ".handle.positive"), 60, 0)
    assert text_of(page, "plane-report") != moved


def middle_of(page, element):
    """In the window, once the element is in the middle of it."""
    return page.execute_script(
        """arguments[0].scrollIntoView({block: 'center'});
        const box = arguments[0].getBoundingClientRect();
        return [box.left + box.width / 2, box.top + box.height / 2]""",
        element,
    )


def swipe(page, start, across, down):
    """A finger that moves by so many pixels, in ten steps."""
    for i in range(11):
        place = {"x": start[0] + across * i / 10, "y": start[1] + down * i / 10}
        touch = {"type": "touchMove" if i else "touchStart", "touchPoints": [place]}
        page.execute_cdp_cmd("Input.dispatchTouchEvent", touch)
    page.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for_picture(page)


def test_a_finger_drags_a_point_and_scrolls_elsewhere(driver):
    open_page(driver, 390, "light")
    handle = driver.find_element("css selector", ".handle.input")
    mark = handle.find_element("css selector", ".mark")
    before = float(handle.get_attribute("aria-valuenow"))
    start = middle_of(driver, mark)
    scrolled = driver.execute_script("return scrollY")
    swipe(driver, start, 60, -60)
    moved = float(handle.get_attribute("aria-valuenow"))
    width = driver.execute_script("return document.getElementById('plane-frame').clientWidth")
    assert moved == pytest.approx(before + 60 / width, abs=0.03)
    assert driver.execute_script("return scrollY") == scrolled
    swipe(driver, [start[0] - 70, start[1] + 60], 0, -150)  # no point is near
    assert float(handle.get_attribute("aria-valuenow")) == moved
    assert driver.execute_script("return scrollY") > scrolled
    assert driver.get_log("browser") == []


def test_attacks_in_the_plane_are_told_beside_the_radius(page):
    from selenium.webdriver.common.keys import Keys

    (radius,) = re.findall(r"exact radius in L2 is (\d\.\d+)", text_of(page, "plane-report"))
    slider = by_id(page, "plane-eps")
    slider.send_keys(Keys.HOME)
    assert "No attack can" in text_of(page, "plane-report")
    slider.send_keys(Keys.END)
    assert "PGD reaches class" in text_of(page, "plane-report")
    for name in ("fgsm", "fab"):
        page.find_element("css selector", f"#plane-form [value={name}]").click()
        assert f"{name.upper()} " in text_of(page, "plane-report")
    (distance,) = re.findall(r"at the distance (\d\.\d+)", text_of(page, "plane-report"))
    assert float(radius) <= float(distance) <= 1.1 * float(radius)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_a_guess_is_answered_by_the_truth(page, norm):
    network, x = shipped()
    page.find_element("css selector", "#class-choice [value='7']").click()
    assert "answers 7" in text_of(page, "decision-report")
    page.find_element("css selector", f"#attack-form [value={norm}]").click()
    assert not by_id(page, "truth").is_displayed()
    by_id(page, "guess-no").click()
    report = text_of(page, "truth-report")
    (eps,) = re.findall(r"Within (\d\.\d+)", report)
    y = network(x[7:8])[0].argmax(axis=1)
    attacked = pgd(Victim(network), x[7:8], y, eps=float(eps), norm=norm, random_start=False)
    fails = network(attacked)[0].argmax() == y[0]
    assert f"{'right' if fails else 'wrong'}: {int(fails)} of 1 right so far" in report
    radius, _ = exact_radius(network, x[7:8], norm=norm, lo=0.0, hi=1.0)
    assert f"is {radius[0]:.4f}" in report
    rows = [row.text for row in page.find_elements("css selector", "#distances tr")]
    assert [row.split()[0] for row in rows] == ["Exact", "FAB", "PGD", "FGSM"]
    page.find_element("css selector", "#class-choice [value='8']").click()
    wait_for_picture(page)
    assert not by_id(page, "truth").is_displayed(), "another digit is another question"


def test_a_wrong_answer_is_called_wrong(page):
    network, x = shipped()
    labels = page_data()["labels"]
    i = int(np.flatnonzero(network.predict(x) != labels)[0])
    page.find_element("css selector", f"#class-choice [value='{labels[i]}']").click()
    digit = page.find_element("css selector", f"#digit-choice [value='{i}']")
    digit.find_element("xpath", "..").click()
    assert f"That is wrong: it is a {labels[i]}." in text_of(page, "decision-report")


def test_a_digit_is_drawn_by_mouse_and_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("css selector", "[value=drawn]").click()
    pad = by_id(page, "pad")
    drag(page, pad, 10, 180, start=(0, -90))
    by_mouse = text_of(page, "decision-report")
    assert "answers 1" in by_mouse
    by_id(page, "pad-clear").click()
    page.execute_script("document.activeElement.blur()")
    focus_by_tab(page, "at.id === 'pad'")
    press(page, " ", *[Keys.ARROW_DOWN] * 16)
    assert "answers 1" in text_of(page, "decision-report")
    assert "Pen down" in text_of(page, "pad-state")


def test_pixels_tell_their_share_by_keyboard(page):
    from selenium.webdriver.common.keys import Keys

    focus_by_tab(page, "at.id === 'shares'")
    press(page, Keys.ARROW_UP)
    first = text_of(page, "share-report")
    assert first.startswith("Row 13, column 14")
    (total,) = re.findall(r"together: (−?[\d.]+)\.$", first)
    (margin,) = re.findall(r"by (−?[\d.]+)\.$", text_of(page, "decision-report"))
    assert total == margin
    pixels = np.array(page.execute_script(
        "const c = document.getElementById('shares');"
        "return [...c.getContext('2d').getImageData(0, 0, 28, 28).data]"
    ))  # fmt: skip
    assert len(np.unique(pixels.reshape(-1, 4), axis=0)) > 20
