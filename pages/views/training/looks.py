"""A colour and a dash for each run: the same in the table and in every chart."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from train.runs import Run

# Okabe and Ito: told apart with every kind of colour vision; runs that share a colour differ in their dashes.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = {"solid": "", "dash": "9 4", "dot": "3 3", "dashdot": "9 3 3 3"}
"""By plotly's names, as SVG draws them."""


@dataclass(frozen=True)
class Look:
    """How a run is drawn."""

    color: str
    """Hexadecimal."""
    dash: str
    """A key of ``DASHES``."""

    @property
    def swatch(self) -> str:
        """A piece of its line, as an address of a picture."""
        line = f'<line x1="2" y1="8" x2="38" y2="8" stroke="{self.color}" stroke-width="5"'
        dashes = f' stroke-dasharray="{DASHES[self.dash]}"' if DASHES[self.dash] else ""
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="16">{line}{dashes}/></svg>'
        return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def looks_of(runs: Sequence[Run]) -> dict[str, Look]:
    """How each run is drawn, by its id: in the order in which they were made, so that a new run changes no other's."""
    oldest_first = sorted(runs, key=lambda run: (run.created, run.id))
    dashes = list(DASHES)
    return {
        run.id: Look(COLORS[i % len(COLORS)], dashes[i // len(COLORS) % len(dashes)])
        for i, run in enumerate(oldest_first)
    }
