"""Texts from outside are plain text, also where Markdown looks at them again after signs are unescaped."""

import re

import pytest

from pages.components.messages import plain
from tests.helpers import unescaped

# What mdast-util-gfm-autolink-literal turns into links, and Streamlit into icons and arrows, in text without escapes.
LATE = (
    re.compile(r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)", re.IGNORECASE),
    re.compile(r"([-.\w+]+)@([-\w]+(?:\.[-\w]+)+)"),
    re.compile(r":material/\w+:|:streamlit:"),
    re.compile(r"(^|\s)(<->|->|<-|--|>=|<=|~=)(\s|$)"),
)


@pytest.mark.parametrize(
    "text",
    [
        "www.example.org.jpg",
        "(WWW.Example.org)",
        "http://evil.example/a.jpg",
        "HTTPS://x.de?a=b&c",
        "mail me.too+tag@www.example.org now",
        "mailto:me@example.org",
        ":material/home: :streamlit:",
        "a -> b <- c <-> d -- e >= f",
    ],
)
def test_addresses_icons_and_arrows_are_text(text):
    shown = re.sub(r"\\([^\w\s])", r"\1", plain(text))
    assert not any(pattern.search(shown) for pattern in LATE)
    assert unescaped(plain(text)) == text, "and nothing is lost"


@pytest.mark.parametrize("text", ["a--2.jpg", "with_mask/12 (1).png", "Ärger;Öl.jpg", "12:30", "x<y", ""])
def test_ordinary_names_get_no_hidden_signs(text):
    assert "\u2060" not in plain(text) and unescaped(plain(text)) == text


def test_signs_of_markdown_are_escaped():
    assert plain("*a* [b](c) `d` :red[e] $f$ <b>") == r"\*a\* \[b\]\(c\) \`d\` \:red\[e\] \$f\$ \<b\>"
