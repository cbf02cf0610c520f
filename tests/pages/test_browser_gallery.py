"""The gallery's keys in a real browser, without the app: where the next tile is, as it is laid out on the screen."""

import pytest

from pages.components import gallery
from pages.components.acts import parts
from tests.helpers import CHROMIUM, FLAGS

pytestmark = pytest.mark.browser

# Groups of 2, 3, 2, 1, 4 and 3 tiles; the second one's title takes several lines and shifts its tiles down.
GROUPS = ("ab", "cde", "fg", "h", "ijkl", "mno")
SHOW = """([groups, beside]) => {
    const src = "";
    const tile = (id) => ({ id, name: id, src, size: [1, 1], marks: [], notes: [], boxes: [], excluded: false });
    const title = (group) => group === "cde" ? "a title of this group that takes several lines, ".repeat(4) : group;
    const sections = groups.map((group) => ({ title: title(group), tiles: [...group].map(tile) }));
    const actions = [{ id: "exclude", key: "x", words: "Exclude", always: false }];
    const words = { chosen: "{count}", none: "None", choose: "Choose {name}", all: "All" };
    const data = { sections, actions, words, beside, large: false, clickable: true, leaves: false, done: 0 };
    window.sent = [];
    show({ data, parentElement: document.body, setTriggerValue: (name, value) => sent.push([name, value]) });
}"""


@pytest.fixture
def gallery_page(playwright):
    """A page of 700 pixels in width that shows groups, with the script and the style of the app."""
    css, js = parts(gallery.__file__)
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    page = browser.new_page(viewport={"width": 700, "height": 900})
    page.set_content(f"<style>{css}</style><div class='sections'></div>")
    page.add_script_tag(content=js.replace("export default function", "window.show = function"))

    def show(groups=GROUPS, beside=True):
        page.evaluate(SHOW, [groups, beside])
        return page

    yield show
    browser.close()


def at(page) -> str:
    return page.evaluate("document.activeElement.title")


def places(page) -> dict[str, dict[str, float]]:
    return {tile.get_attribute("title"): tile.bounding_box() for tile in page.locator(".pick").all()}


def went(page, start: str, *keys: str) -> str:
    page.locator(f".pick[title={start}]").focus()
    for key in keys:
        page.keyboard.press(key)
    return at(page)


def test_up_and_down_lead_to_the_nearest_tile_of_the_next_row(gallery_page):
    page = gallery_page()
    box = places(page)
    left, top = ({name: each[side] for name, each in box.items()} for side in ("x", "y"))
    height = box["a"]["height"]
    assert top["c"] > top["a"] + 10 and left["c"] > left["b"], "beside the first group, its title shifts it down"
    rows = [[name for name in box if abs(top[name] - top[first]) < height / 2] for first in "af"]
    assert rows[0] == list("abcde"), rows
    assert {"f", "g", "h"} <= set(rows[1]) and len(rows[1]) < len(box) - len(rows[0]), rows

    def nearest(name: str, row: list[str]) -> str:
        return min(row, key=lambda other: abs(left[other] - left[name]))

    for name in rows[0]:
        assert went(page, name, "ArrowDown") == nearest(name, rows[1])
    for name in rows[1]:
        assert went(page, name, "ArrowUp") == nearest(name, rows[0])
    # Nothing is above the first row or below the last.
    for name in rows[0]:
        assert went(page, name, "ArrowUp") == name
    last = max(box, key=top.__getitem__)
    assert went(page, last, "ArrowDown") == last
    for name in box:
        if (below := went(page, name, "ArrowDown")) != name:
            assert top[below] > top[name] + height / 2, "never sideways"


def test_left_and_right_lead_through_all_groups_in_their_order(gallery_page):
    page = gallery_page()
    order = "".join(GROUPS)
    went(page, "a")
    seen = at(page)
    for _ in order[1:]:
        page.keyboard.press("ArrowRight")
        seen += at(page)
    assert seen == order
    assert went(page, "o", "ArrowRight") == "o" and went(page, "a", "ArrowLeft") == "a"
    assert went(page, "f", "ArrowLeft") == "e" and went(page, "c", "Home") == "a" and went(page, "c", "End") == "o"


def test_an_action_is_for_the_tile_to_which_the_arrows_led(gallery_page):
    page = gallery_page()
    below = went(page, "a", "ArrowDown")
    page.keyboard.press("x")
    assert page.evaluate("sent") == [["acted", [{"action": "exclude", "ids": [below], "seq": 1}]]]
    assert page.locator(".pick[tabindex='0']").count() == 1, "one of them is reached by Tab"


def test_the_keys_work_in_a_plain_grid_too(gallery_page):
    page = gallery_page(["abcdefghijklm"], beside=False)
    box = places(page)
    columns = sum(each["y"] == box["a"]["y"] for each in box.values())
    assert 1 < columns < 12
    assert went(page, "a", "ArrowDown") == "abcdefghijklm"[columns]
    assert went(page, "a", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft") == "a"
    assert went(page, "m", "ArrowDown") == "m"
