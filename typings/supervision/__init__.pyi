"""What the project uses of supervision, typed as ``core.vision.detections`` fills it.

The library itself allows ``None`` for scores and classes, and its ``detections[...]`` may return anything. Every
``Detections`` of the project has all fields, and is indexed with rows.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

@dataclass
class Detections:
    xyxy: np.ndarray
    mask: np.ndarray | None = None
    confidence: np.ndarray = ...
    class_id: np.ndarray = ...
    tracker_id: np.ndarray | None = None
    data: dict[str, np.ndarray] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, index: int | slice | list[int] | np.ndarray) -> Detections: ...
    def __len__(self) -> int: ...
    @classmethod
    def empty(cls) -> Detections: ...
    @classmethod
    def merge(cls, detections_list: list[Detections]) -> Detections: ...

def __getattr__(name: str) -> Any: ...
