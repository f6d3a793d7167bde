"""Reports in a browser (Chromium)."""

import shutil

import numpy as np
import pytest

from sktext_vq import VQTextClassifier
from sktext_vq.inspection import write_report

sync_api = pytest.importorskip("playwright.sync_api")
axe = pytest.importorskip("axe_playwright_python.sync_playwright")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: apt-get install chromium"
)
PHONE, DESK = 400, 1600

# Contrast of numbers and the colours behind them, which axe does not check in SVG.
CONTRASTS = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number).slice(0, 3);
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => c / 255).map(
      (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const page = parse(getComputedStyle(document.body).backgroundColor);
  const seen = [...document.querySelectorAll(".tokens text")].filter(
    (text) => text.checkVisibility() && text.getBoundingClientRect().width);
  return seen.map((text) => {
    const box = text.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let behind = page;
    for (const rect of text.closest(".tokens").querySelectorAll("rect")) {
      const around = rect.getBoundingClientRect();
      if (x < around.left || x > around.right || y < around.top || y > around.bottom)
        continue;
      const style = getComputedStyle(rect);
      const alpha = Number(style.fillOpacity);
      behind = parse(style.fill).map((c, i) => alpha * c + (1 - alpha) * behind[i]);
    }
    const lights = [light(parse(getComputedStyle(text).fill)), light(behind)];
    return (Math.max(...lights) + 0.05) / (Math.min(...lights) + 0.05);
  });
}"""
# Numbers that overlap with each other, or exceed the drawing.
COLLISIONS = """() => {
  const found = [];
  for (const svg of document.querySelectorAll(".tokens")) {
    const edges = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")]
      .map((text) => [text.textContent, text.getBoundingClientRect()])
      .filter(([, box]) => box.width);
    for (const [words, box] of boxes) {
      if (box.left < edges.left - 1 || box.right > edges.right + 1) found.push(words);
      for (const [other, beside] of boxes)
        if (box !== beside && box.left < beside.right && beside.left < box.right
            && box.top < beside.bottom && beside.top < box.bottom)
          found.push(`${words} ${other}`);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def report(basic_motions, small_on_motions, tmp_path_factory):
    """Return a page with three errors in twelve cases, and the estimator."""
    data = basic_motions
    y = data.y_test.copy()
    y[:3] = "running"  # the true class is standing
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(small_on_motions, data.X_test, y, path, n_examples=12)
    return path, small_on_motions


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def open_page(report, browser):
    """Open the page; fail if it logs errors or requests other files."""
    contexts, complaints, asked = [], [], []

    def open_(width=DESK, scheme="light", scripts=True, hash=""):
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            java_script_enabled=scripts,
        )
        context.set_default_timeout(120_000)  # for slow machines
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{report[0].as_uri()}{hash}")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not complaints
    assert {url.split("#")[0] for url in asked} == {report[0].as_uri()}


def visible(page, selector):
    """Return the ids of visible elements, in order."""
    return page.evaluate(
        "(selector) => [...document.querySelectorAll(selector)]"
        ".filter((each) => each.checkVisibility()).map((each) => each.id)",
        selector,
    )


def shown_codes(page):
    return [int(name.removeprefix("code-")) for name in visible(page, ".card")]


def shown_case(page):
    (case,) = visible(page, ".case")
    return case


def all_cases(page):
    return page.evaluate("[...document.querySelectorAll('.case')].map((e) => e.id)")


def status(page, where):
    return page.locator(f"{where} output").inner_text()


def test_codes_are_searched_by_all_texts_of_cards(open_page, report):
    page, table = open_page(), report[1].describe_codes()
    assert status(page, ".vocabulary") == "16 of 16 codes shown"
    page.get_by_label("Search").fill("GYRO peak")
    expected = [
        code
        for code, row in table.iterrows()
        if "peak" in row["shape"] and "gyro" in row["channel"] + row["attributes"]
    ]
    assert 0 < len(expected) < 16
    assert sorted(shown_codes(page)) == expected
    assert status(page, ".vocabulary") == f"{len(expected)} of 16 codes shown"
    page.get_by_label("Search").fill("no name")
    assert sorted(shown_codes(page)) == table.index[table["phrase"].isna()].tolist()
    page.get_by_label("Search").fill("xyzzy")
    assert status(page, ".vocabulary") == "0 of 16 codes shown"


def test_codes_are_ordered_and_filtered(open_page, report):
    page, table = open_page(), report[1].describe_codes()
    for key in ("usage", "confidence", "lift", "length", "code"):
        page.get_by_label("Order").select_option(key)
        values = table.reset_index()[key][shown_codes(page)].tolist()
        assert values == sorted(values, reverse=key not in ("length", "code")), key
    page.get_by_label("Most in").select_option("walking")
    of_class = table.index[table["class"] == "walking"].tolist()
    assert shown_codes(page) == of_class
    assert status(page, ".vocabulary") == f"{len(of_class)} of 16 codes shown"
    page.get_by_label("Order").select_option("class")
    lifts = table["lift"][shown_codes(page)].tolist()
    assert lifts == sorted(lifts, reverse=True)


def test_cases_are_shown_one_at_a_time(open_page):
    page = open_page()
    ids = all_cases(page)
    assert len(ids) == 12 and shown_case(page) == ids[0]
    page.get_by_role("button", name="Next case").click()
    assert shown_case(page) == ids[1]
    assert status(page, ".browser").startswith("2 of 12: case ")
    for _ in range(2):
        page.get_by_role("button", name="Previous case").click()
    assert shown_case(page) == ids[-1]
    page.get_by_label("Show").select_option("wrong")
    assert status(page, ".browser").startswith("1 of 3: case ")
    assert status(page, ".browser").endswith("of class running, predicted standing")
    choices = page.get_by_label("Show").locator("option").all_inner_texts()
    (walking,) = [choice for choice in choices if choice.startswith("class walking (")]
    page.get_by_label("Show").select_option(label=walking)
    for _ in range(int(walking.split("(")[1].rstrip(")"))):
        assert "of class walking, correct" in status(page, ".browser")
        page.get_by_role("button", name="Next case").click()


def test_arrow_keys_change_the_case(open_page):
    page = open_page()
    ids = all_cases(page)
    page.get_by_role("button", name="Previous case").focus()
    page.keyboard.press("ArrowRight")
    assert shown_case(page) == ids[1]
    page.keyboard.press("End")
    assert shown_case(page) == ids[-1]
    page.keyboard.press("ArrowRight")
    assert shown_case(page) == ids[0]
    page.keyboard.press("ArrowLeft")
    assert shown_case(page) == ids[-1]
    # In a list, arrow keys change the choice.
    page.get_by_label("Show").focus()
    page.keyboard.press("ArrowDown")
    assert status(page, ".browser").startswith("1 of 3")
    # Arrow keys work after a click on a case, and do nothing in other elements.
    page.locator(".case h3:visible").click()
    page.keyboard.press("ArrowRight")
    assert status(page, ".browser").startswith("2 of 3")
    page.get_by_label("Search").focus()
    page.keyboard.press("ArrowRight")
    assert status(page, ".browser").startswith("2 of 3")


def test_tab_reaches_all_controls_and_focus_is_visible(open_page):
    page = open_page()
    reached = set()
    page.keyboard.press("Tab")
    while page.evaluate("document.activeElement !== document.body"):
        name, outline = page.evaluate(
            "() => [document.activeElement.name || document.activeElement.className,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        reached.add(name)
        assert outline != "none", name
        page.keyboard.press("Tab")
    assert {"skip", "previous", "next", "which", "search", "order"} <= reached


def test_links_show_hidden_elements(open_page):
    page = open_page()
    page.get_by_label("Search").fill("xyzzy")
    page.locator(".deciding a:visible").first.click()
    code = page.evaluate("location.hash").removeprefix("#code-")
    assert page.locator(f"#code-{code}").is_visible()
    assert page.locator(f"#code-{code}").bounding_box()["y"] < 900
    # A number of the confusion matrix is a link to a case, for any filter.
    page.get_by_label("Show").select_option("right")
    page.get_by_role("link", name="3 series of running predicted as standing").click()
    case = page.evaluate("location.hash").removeprefix("#")
    assert shown_case(page) == case
    assert "predicted standing" in status(page, ".browser")
    # A link from another page shows the case.
    assert shown_case(open_page(hash=f"#{case}")) == case


def test_page_is_complete_without_scripts(open_page):
    page = open_page(scripts=False)
    assert len(visible(page, ".case")) == 12
    assert len(visible(page, ".card")) == 16
    assert visible(page, ".tools") == []


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "light"), (DESK, "dark")])
def test_page_is_accessible(width, scheme, open_page):
    page = open_page(width, scheme)
    page.evaluate("for (const e of document.querySelectorAll('details')) e.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    results = axe.Axe().run(page)
    assert not results.violations_count, results.generate_report()
    # Check the numbers of all cases, not only of the first one.
    page.evaluate(
        "for (const e of document.querySelectorAll('.case')) e.hidden = false"
    )
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert min(contrasts) >= 4.5
    assert page.evaluate(COLLISIONS) == []


def test_many_classes_fit_the_width(browser, tmp_path):
    rng = np.random.default_rng(0)
    speed = np.linspace(0.1, 1.5, 27).repeat(2)[:, None]
    X = np.sin(speed * np.arange(40) + rng.uniform(0, 6, (54, 1)))
    y = np.array([f"arm draws a circle, {i}" for i in range(27)]).repeat(2)
    classifier = VQTextClassifier(
        16,
        max_features=100,
        channel_names=["x"],
        text_encoder="hashing",
        random_state=0,
    ).fit(X, y)
    X += rng.normal(size=X.shape)
    path = write_report(classifier, X, y, tmp_path / "page.html", n_examples=2)
    for width in (PHONE, 1280):
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".compact").is_visible() == (width == 1280)
        wider = page.evaluate(
            "[...document.querySelectorAll('[aria-labelledby=scores] .scroll')]"
            ".filter((each) => each.scrollWidth > each.clientWidth)"
            ".map((each) => each.ariaLabel)"
        )
        assert wider == []
        results = axe.Axe().run(page)
        assert not results.violations_count, results.generate_report()
        page.close()
