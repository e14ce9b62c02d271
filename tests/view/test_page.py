"""The page in a real Chromium: type, click, keyboard, phone, light and dark, naughty ids, a run that goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.view.chromium import chromium, opened, picture
from tests.view.conftest import Replayed
from tests.view.lines import batch, list_line, listed, measured, metrics_line, open_view
from tests.view.running import command, serving
from tests.view.test_app import NAUGHTY
from view.arrivals import Arrived

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def url(replayed: Replayed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve the real replay."""
    store = tmp_path_factory.mktemp("page") / "store"
    with command("--replay", str(replayed.folder), "--store", str(store)) as (_, port):
        yield f"http://127.0.0.1:{port}/"


def titles(page: Page, of: str = "#now") -> list[str]:
    """Return the titles of a list as a person reads them."""
    return (
        page.locator(f"{of} b").all_inner_texts() if of != "#now" else page.locator("#now .title b").all_inner_texts()
    )


def users(replayed: Replayed) -> list[str]:
    """Return users with two lists and more, those with the most first."""
    lines = (replayed.folder / "recommendations" / "part-0.jsonl").read_text(encoding="utf-8").splitlines()
    counts: dict[str, int] = {}
    for line in lines:
        user = json.loads(line)["user"]
        counts[user] = counts.get(user, 0) + 1
    return sorted((user for user, n in counts.items() if n > 1), key=lambda user: (-counts[user], user))


def test_a_user_is_found_and_explained(browser: Browser, url: str, replayed: Replayed) -> None:
    """Type the beginning of an id, click it: list with titles, reasons that unfold, the list before, the events."""
    user = users(replayed)[0]
    with opened(browser, url) as page:
        expect(page.locator("#now .row")).to_have_count(20)
        page.fill("#user", user[:-1])
        page.get_by_role("option", name=user, exact=True).click()
        expect(page.locator("#caption b")).to_have_text(user)
        expect(page).to_have_url(f"{url}?user={user}")
        assert all(" (" in title for title in titles(page))  # films with their years
        first = page.locator("#now .row").first
        assert first.locator(".share rect").count() >= 2
        expect(first.locator(".why")).to_be_hidden()
        first.locator(".title").click()
        expect(first.locator(".why")).to_contain_text("learned head")
        assert first.locator(".why b").count() >= 10
        expect(page.locator("#before .small").first).to_be_visible()
        expect(page.locator("#events .event").first).to_be_visible()
        expect(page.locator("#events")).to_contain_text("was ranked")
        page.click("#more")
        expect(page.locator("#now .row").nth(19)).to_be_visible()
        moved = page.locator("#now .move").all_inner_texts()
        assert any(text[0] in "▲▼n" for text in moved)
        page.click("#more")
        picture(page, "desktop-light")


def test_the_run_is_drawn(browser: Browser, url: str, replayed: Replayed) -> None:
    """Curves with as many lines as models drawn, the figures of the report, and a cursor by arrow keys."""
    with opened(browser, url) as page:
        expect(page.locator("#chart-hr path.curve")).to_have_count(5)
        expect(page.locator("#chart-ndcg path.curve")).to_have_count(5)
        metrics = replayed.report["metrics"]
        assert isinstance(metrics, dict)
        own = page.locator("#models tr.own td")
        assert own.all_inner_texts() == [
            "headwater",
            *(f"{metrics['headwater']['all'][m]:.3f}" for m in ("hr@10", "ndcg@10")),
        ]
        expect(page.locator("#chart-lag")).to_be_hidden()  # a clock says nothing about a log of the past
        expect(page.locator("#status")).to_have_text("replay, finished")
        chart = page.locator("#chart-hr svg")
        chart.focus()
        newest = page.locator("#chart-hr .legend li").first.inner_text()
        for _ in range(3):
            page.keyboard.press("ArrowLeft")
        expect(page.locator("#chart-hr .knob").first).to_be_visible()
        page.keyboard.press("Home")
        assert page.locator("#chart-hr .legend li").first.inner_text() != newest
        assert "HR@10: headwater 0." in (chart.get_attribute("aria-label") or "")


def test_by_keyboard_alone(browser: Browser, url: str, replayed: Replayed) -> None:
    """Find a user, unfold a reason, show all, change the theme: no pointer, and the focus is always to be seen."""
    user = users(replayed)[1]
    with opened(browser, url) as page:
        expect(page.locator("#now .row")).to_have_count(20)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("/")
        expect(page.locator("#user")).to_be_focused()
        page.keyboard.type(user[:1])
        expect(page.locator("#found li").nth(1)).to_be_visible()
        places = page.locator("#found li").all_inner_texts()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert page.locator("#found [aria-selected=true]").inner_text() == places[1]
        page.keyboard.press("Enter")
        expect(page.locator("#caption b")).to_have_text(places[1])
        expect(page.locator("#found")).to_be_hidden()
        for _ in range(40):
            page.keyboard.press("Tab")
            shape = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert shape != "none", page.evaluate("document.activeElement.outerHTML")
            if page.evaluate("document.activeElement.classList.contains('title')"):
                break
        page.keyboard.press("Enter")
        expect(page.locator("#now .row").first.locator(".why")).to_be_visible()
        page.locator("#more").press("Enter")
        expect(page.locator("#now .row").nth(19)).to_be_visible()
        page.locator("#theme").press("Enter")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.locator("#theme").press("Enter")
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"  # it is remembered
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 22, 27)"


def test_somebody_unknown(browser: Browser, url: str) -> None:
    """Any text is a user: one without a list gets what is popular, and is told so."""
    with opened(browser, url) as page:
        page.fill("#user", "nobody-yet")
        page.keyboard.press("Enter")
        expect(page.locator("#caption")).to_contain_text("nobody-yet has no list yet; this is what is popular now.")
        expect(page.locator("#now .row")).to_have_count(20)
        expect(page.locator("#before")).to_contain_text("No list before this one.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 320])
def test_on_a_phone(browser: Browser, url: str, scheme: str, width: int) -> None:
    """Nothing is wider than the screen, and what is tapped is large enough to hit."""
    options = {**PHONE, "viewport": {"width": width, "height": 844}, "color_scheme": scheme}
    with opened(browser, url, **options) as page:
        expect(page.locator("#now .row")).to_have_count(20)
        expect(page.locator("#chart-hr path.curve")).to_have_count(5)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        for place in ("#user", "#now .title >> nth=0", "#recent button >> nth=0"):
            box = page.locator(place).bounding_box()
            assert box is not None
            assert box["height"] >= 32, place
        picture(page, f"phone-{width}-{scheme}")


CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (c) => rgb(c).map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, n) => sum + v * [0.2126, 0.7152, 0.0722][n], 0);
  const behind = (node) => { for (; node; node = node.parentElement) { const c = getComputedStyle(node).backgroundColor;
    if (!/, 0\\)$|transparent/.test(c)) return c; } return "rgb(255,255,255)"; };
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!own || !node.checkVisibility() || node.closest(".sr, .skip, svg, script")) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${node.tagName}.${node.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(browser: Browser, url: str, scheme: str) -> None:
    """All text has a contrast of 4.5 and more to what is behind it (WCAG AA)."""
    with opened(browser, url, color_scheme=scheme) as page:
        expect(page.locator("#now .row")).to_have_count(20)
        page.locator("#now .title").first.click()
        expect(page.locator("#chart-hr path.curve")).to_have_count(5)
        assert page.evaluate(CONTRAST) == []
        picture(page, f"desktop-{scheme}-open")


def test_the_page_follows_a_run(browser: Browser, replayed: Replayed, tmp_path: Path) -> None:
    """A replay that goes on: the list on the screen becomes the new one by itself, and says what moved."""
    user = users(replayed)[0]
    lines = (replayed.folder / "recommendations" / "part-0.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    mine = [place for place, line in enumerate(lines) if json.loads(line)["user"] == user]
    folder = tmp_path / "out"
    for name in ("recommendations", "dead_letters"):
        (folder / name).mkdir(parents=True)
    lists = folder / "recommendations" / "part-0.jsonl"
    lists.write_text("".join(lines[: mine[-1]]), encoding="utf-8")
    metrics = (replayed.folder / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_bytes(b"".join(metrics[: len(metrics) // 2]))
    job = tmp_path / "job.toml"
    items = Path(__file__).parents[2] / "examples" / "movietweetings" / "items.csv"
    job.write_text(f'[events]\npath = "none.csv"\n[items]\npath = "{items}"\n')
    with (
        command("--replay", str(folder), "--config", str(job)) as (_, port),
        opened(browser, f"http://127.0.0.1:{port}/?user={user}") as page,
    ):
        expect(page.locator("#status")).to_have_text("replay, running")
        before = json.loads(lines[mine[-2]])["items"]
        expect(page.locator("#now .row").first).to_have_attribute("data-key", before[0])
        events = page.locator("#tiles dd").nth(2).inner_text()
        with lists.open("a", encoding="utf-8") as out:
            out.write("".join(lines[mine[-1] :]))
        with (folder / "metrics.jsonl").open("ab") as more:
            more.write(b"".join(metrics[len(metrics) // 2 :]))
        expect(page.locator("#said")).to_have_text(f"The list of {user} has changed.")
        after = json.loads(lines[mine[-1]])["items"]
        keys = page.locator("#now .row").evaluate_all("rows => rows.map((row) => row.dataset.key)")
        assert keys == after
        for row, item in zip(page.locator("#now .row").all()[:10], after, strict=False):
            was = before.index(item) if item in before else None
            place = after.index(item)
            expected = (
                "new" if was is None else "=" if was == place else f"{'▲' if was > place else '▼'} {abs(was - place)}"
            )
            assert row.locator(".move").inner_text() == expected
        expect(page.locator("#status")).to_have_text("replay, finished")
        assert page.locator("#tiles dd").nth(2).inner_text() != events


def test_naughty_ids_are_only_text(browser: Browser, tmp_path: Path) -> None:
    """Markup in users, items, titles and reasons is read as the text it is, wherever the page shows it."""
    view, store = open_view(tmp_path / "store")
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'&"
    for number, user in enumerate([*NAUGHTY, evil], 1):
        tick = json.loads(metrics_line(number, "u:i")) | {"user": [user], "item": [evil], "actions": {evil: [0]}}
        tick["ranks"] = {"headwater": [2], evil: [3]}
        view.fold(batch(measured(json.dumps(tick).encode())), 0)
        for at in (number, number + 1):
            line = json.loads(list_line(user, at, "x y")) | {
                "items": [evil, user, f"i{at}"],
                "scores": [1, 0, 0],
                "model_id": evil,
            }
            view.fold(batch(listed(json.dumps({**line, "why": {evil: [1.0, 0.5, 0.1]}}).encode())), 0)
    view.fold(batch(Arrived("items", NAUGHTY[0].encode(), json.dumps({"title": evil, "genres": evil}).encode(), 0)), 0)
    view.fold(batch(Arrived("dead_letters", b"", json.dumps({"reason": evil}).encode(), 0)), 0)
    with serving(view) as port, opened(browser, f"http://127.0.0.1:{port}/") as page:
        for user in (evil, NAUGHTY[0], "..", "a/recommendations"):
            page.fill("#user", user)
            page.keyboard.press("Enter")
            expect(page.locator("#caption b")).to_have_text(user)
            expect(page.locator("#now .title b").first).to_have_text(evil)
        page.locator("#now .title").first.click()
        expect(page.locator("#now .why").first).to_contain_text(evil)
        expect(page.locator("#dead")).to_contain_text(evil)
        expect(page.locator("#models")).to_contain_text(evil)
        page.wait_for_timeout(300)
        assert page.locator("main img, main script, main a, header img").count() == 0
        assert page.locator("#recent button").all_inner_texts()[0] == evil
    store.close()


def test_the_token_is_asked_for(browser: Browser, tmp_path: Path) -> None:
    """Without it the page shows nothing and asks; a wrong one is told; with it the page goes on, after a reload too."""
    view, store = open_view(tmp_path / "store")
    view.fold(batch(listed(list_line("u", 1, "a b"))), 0)
    with serving(view, token="a token of some length") as port:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        expect(page.locator("#login")).to_be_visible()
        page.fill("#token", "a wrong one")
        page.keyboard.press("Enter")
        expect(page.locator("#login-error")).to_have_text("this is not the server's token")
        page.fill("#token", "a token of some length")
        page.keyboard.press("Enter")
        expect(page.locator("#now .row")).to_have_count(2)
        page.reload()
        expect(page.locator("#now .row")).to_have_count(2)
        assert page.evaluate("document.cookie") == ""
        context.close()
    store.close()


def test_no_page_frames_ours(browser: Browser, url: str, tmp_path: Path) -> None:
    """Clickjacking: a frame around the page stays empty."""
    context = browser.new_context()
    page = context.new_page()
    page.route(
        "http://other.example/",
        lambda route: route.fulfill(body=f"<iframe src='{url}'></iframe>", content_type="text/html"),
    )
    page.goto("http://other.example/")
    page.wait_for_timeout(1000)
    frame = page.frames[1]
    assert frame.url != url or frame.locator("#now").count() == 0
    context.close()
