"""A result as one HTML file, to send on or to print: pictures and charts are in it, and it loads nothing."""

import base64
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from core.language import current, day, tr

if TYPE_CHECKING:  # a page with a report that holds no chart need not wait for plotly
    import plotly.graph_objects as go

STYLE = Path(__file__).with_suffix(".css")
# Nothing in the file may reach the network, whatever a name in it says.
POLICY = "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
MIME = "text/html"


class HtmlReport:
    """A report in the making: add parts in the order in which they are read, then take the ``file``.

    All texts are plain: what looks like HTML in them is shown as it is written.
    """

    def __init__(self, title: str, zone: tzinfo | None = None):
        """Args: ``title``, the heading; ``zone``, in which the time of making is told, the server's if left out."""
        at = datetime.fromtimestamp(time.time(), zone)
        made = tr("Made on {day}, {time}").format(day=day(at, "d MMMM y"), time=day(at, "HH:mm"))
        self._title, self._has_chart = title, False
        self._parts = [f"<h1>{escape(title)}</h1>", f"<p class='made'>{escape(made)}</p>"]

    def heading(self, words: str) -> None:
        """Begin a part of its own."""
        self._parts.append(f"<h2>{escape(words)}</h2>")

    def text(self, words: str) -> None:
        """A paragraph."""
        self._parts.append(f"<p>{escape(words)}</p>")

    def figures(self, figures: Mapping[str, str]) -> None:
        """Numbers side by side, each below its name."""
        each = (f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in figures.items())
        self._parts.append(f"<dl>{''.join(each)}</dl>")

    def table(self, rows: Sequence[Mapping[str, object]]) -> None:
        """A table; the keys of the first row are the heads of its columns."""
        if not rows:
            return
        heads = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
        lines = ("".join(f"<td>{escape(str(row.get(name, '')))}</td>" for name in rows[0]) for row in rows)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        self._parts.append(f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>")

    def picture(self, jpeg: bytes, alt: str, caption: str = "") -> None:
        """A JPEG file with words below it; ``alt`` is for those who cannot see it."""
        source = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
        below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        self._parts.append(f"<figure><img src='{source}' alt='{escape(alt, quote=True)}'>{below}</figure>")

    def chart(self, figure: "go.Figure") -> None:
        """A chart of ``pages.components.charts``; plotly's program is in the file once."""
        from pages.components.figure import CHART, described

        made = figure.to_html(
            full_html=False, include_plotlyjs=not self._has_chart, config={**CHART, "responsive": True}
        )
        self._has_chart = True
        alt = escape(described(figure), quote=True)
        self._parts.append(f"<div class='chart' role='img' aria-label='{alt}'>{made}</div>")

    def file(self) -> bytes:
        """The HTML file."""
        head = (
            f"<meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'>"
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
            f"<title>{escape(self._title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        )
        body = "\n".join(self._parts)
        return (
            f"<!doctype html>\n<html lang='{current()}'><head>{head}</head>\n<body>\n{body}\n</body></html>\n".encode()
        )
