"""Who is who from frame to frame: each person keeps a number, and is counted once.

Faces of a new frame are assigned to the people known so far by where those should be by now, at the lowest total
distance (Kuhn 1955, by scipy); people move at a steady speed between two looks, as in SORT (Bewley et al. 2016), and
faces with a low score continue a person, but begin none, as in ByteTrack (Zhang et al. 2022). What a person wears is
evidence added up over the looks at their face: nobody flickers, and one bad look changes nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import supervision as sv
from scipy.optimize import linear_sum_assignment

from core.vision.detections import CLASS_NAME, FACE_SCORE, PREDICTED, PROBABILITIES, classes_of, no_detections
from core.vision.stats import FrameStats

NO_NUMBER = -1
MAX_GONE_S = 2.0
# Nobody has left only because nobody looked: after so long without a look, though, it may be somebody else.
MAX_UNSEEN_S = 6.0
"""Who is not seen for longer has left; a face that appears then is another person's."""
MIN_VIEWS = 3
"""A face that is seen so often is a person's; as often must the same class be likeliest before it is told."""
START_SCORE = 0.5
"""Least face score that begins a person."""
# Distances are in units of a face's size (the mean of width and height).
MAX_DISTANCE = 0.9
MAX_SPEED = 4.0
"""Face sizes per second that somebody may have whose speed is not known yet, or changes."""
SIZE_COST = 0.7
"""Of twice the size, in distances."""
SPEED_GAIN = 0.4
MAX_AHEAD_S = 0.4
"""A box is moved on by its speed for so long; after that it waits where it is."""
# Evidence is in nats: sums of logarithms of calibrated probabilities.
FLOOR = 0.02
"""Least probability that a single look can give a class."""
FULL_VIEW_PX = 48
"""A face of this size counts in full, a smaller one by its share."""
TELL, CHANGE = 1.0, 3.0
"""How far ahead of the second a class must be to be told, and ahead of the one that is told to replace it."""
MAX_LEAD = 8.0
"""No class gets further ahead, so that a mask taken off is noticed within a second or two."""


@dataclass(eq=False)
class Person:
    """Somebody whose face is followed."""

    number: int
    """From 1 in the order of appearance; ``NO_NUMBER`` as long as it may be no face."""
    center: np.ndarray
    """(2,) x, y in pixels, when last seen."""
    size: np.ndarray
    """(2,) width, height in pixels."""
    seen_s: float
    """When last seen."""
    evidence: np.ndarray
    """(k,) nats, for each class; the best has 0."""
    likeliest: Counter = field(default_factory=Counter)
    """How often each class was the likeliest."""
    speed: np.ndarray = field(default_factory=lambda: np.zeros(2))
    """(2,) pixels per second."""
    views: int = 0
    came_s: float = 0.0
    """When first seen."""
    counted_s: float = 0.0
    """When given a number."""
    class_id: int | None = None
    """What they wear; ``None`` until that is sure enough."""

    def place(self, at_s: float) -> np.ndarray:
        """Where the middle of the face should be at that time: (2,) x, y in pixels."""
        return self.center + self.speed * min(max(at_s - self.seen_s, 0.0), MAX_AHEAD_S)

    def see(self, xyxy: np.ndarray, at_s: float) -> None:
        """Move to where the face is found now."""
        center, size = (xyxy[:2] + xyxy[2:]) / 2, xyxy[2:] - xyxy[:2]
        passed_s = at_s - self.seen_s
        if self.views and passed_s > 0:
            missed = center - (self.center + self.speed * passed_s)
            # The second look tells the speed, later ones correct it.
            gain = 1.0 if self.views == 1 else SPEED_GAIN
            self.speed = self.speed + gain * missed / passed_s
        self.center, self.size, self.seen_s = center, size, at_s
        self.views += 1

    def forget_evidence(self) -> None:
        """Forget what they wear."""
        self.evidence = np.zeros_like(self.evidence)
        self.class_id = None
        self.likeliest.clear()

    def weigh(self, probabilities: np.ndarray, weight: float) -> None:
        """Add what one look says: (k,) probabilities, and how good a look it was, 0..1."""
        self.evidence += weight * np.log(np.maximum(probabilities, FLOOR))
        self.evidence = np.maximum(self.evidence - self.evidence.max(), -MAX_LEAD)
        self.likeliest[int(probabilities.argmax())] += 1
        best = int(self.evidence.argmax())
        if self.class_id is None:
            lead = -np.delete(self.evidence, best).max(initial=-MAX_LEAD)
            if self.likeliest[best] >= MIN_VIEWS and lead >= TELL:
                self.class_id = best
        elif -self.evidence[self.class_id] >= CHANGE:
            self.class_id = best

    def confidence(self) -> float:
        """How likely the class is that is told, 0..1; of several classes the likeliest if none is told."""
        shares = np.exp(self.evidence)
        return float(shares[self.evidence.argmax() if self.class_id is None else self.class_id] / shares.sum())


@dataclass(frozen=True)
class Departure:
    """Somebody with a number who has left; times are those of ``update``."""

    came_s: float
    left_s: float
    counted_s: float
    name: str | None
    """Of their class when last seen; ``None`` where that was never sure enough."""


class PersonTracker:
    """Follows everybody in one stream. Not thread-safe."""

    def __init__(self) -> None:
        self._departures: list[Departure] = []
        self._start(())

    def _start(self, classes: tuple[str, ...]) -> None:
        """Nobody has been seen yet."""
        self._numbers = 0
        self._classes = classes
        self._people: list[Person] = []
        self._left: Counter[int | None] = Counter()
        self._newest, self._newest_s = no_detections(), 0.0
        self._newest_of: list[Person | None] = []

    def update(self, detections: sv.Detections, at_s: float) -> sv.Detections:
        """The faces of the next frame, each with its person.

        Args:
            detections: of one frame; with other classes than before, everything starts anew.
            at_s: when the frame was taken, in seconds of a clock that never goes back.

        Returns:
            The same faces: ``tracker_id`` (n,) is the person's number, ``NO_NUMBER`` for a face seen too rarely yet;
            class, confidence and ``predicted`` are the person's, not this look's. The given ones are not changed.
        """
        if classes_of(detections) != self._classes:
            self.leave()
            self._start(classes_of(detections))
        self._part_with(at_s)
        scores = detections.data[FACE_SCORE]
        people = self._assign(detections, at_s)
        for i, person in enumerate(people):
            if person is None and scores[i] >= START_SCORE:
                person = people[i] = self._begin(at_s)
            if person is None:
                continue
            person.see(detections.xyxy[i].astype(float), at_s)
            if detections.data[PREDICTED][i]:  # what is not sure enough to be told is no evidence
                quality = min(1.0, float(person.size[0] + person.size[1]) / 2 / FULL_VIEW_PX) * float(scores[i])
                person.weigh(detections.data[PROBABILITIES][i].astype(float), quality)
            if person.number == NO_NUMBER and person.views >= MIN_VIEWS:
                self._numbers += 1
                person.number, person.counted_s = self._numbers, at_s
        self._newest, self._newest_s = _as_known(detections, people), at_s
        self._newest_of = people
        return self._newest

    def shown(self, at_s: float) -> sv.Detections:
        """The newest faces where they should be at that time: between two looks boxes move on with their people."""
        moved = [np.zeros(2) if person is None else person.place(at_s) - person.center for person in self._newest_of]
        if not moved:
            return self._newest
        xyxy = self._newest.xyxy + np.tile(np.array(moved, np.float32), 2)
        return replace(self._newest, xyxy=xyxy, data=dict(self._newest.data), metadata=dict(self._newest.metadata))

    def places(self, at_s: float) -> np.ndarray:
        """Where faces may be at that time, (n, 4) xyxy in pixels: of the newest frame, and of all who may return.

        The longer ago a face was seen, the larger its box.
        """
        away = [person for person in self._people if not any(person is each for each in self._newest_of)]
        own = [np.concatenate([p.place(at_s) - p.size / 2, p.place(at_s) + p.size / 2]) for p in away]
        boxes = np.concatenate([self.shown(at_s).xyxy, np.array(own).reshape(-1, 4)])
        ages_s = np.array([at_s - self._newest_s] * len(self._newest) + [at_s - person.seen_s for person in away])
        grow = (boxes[:, 2:] - boxes[:, :2]) / 2 * np.clip(ages_s, 0, MAX_GONE_S)[:, None]
        return np.hstack([boxes[:, :2] - grow, boxes[:, 2:] + grow])

    def forget_evidence(self) -> None:
        """Forget what those in the picture wear: from now on something else tells, or must be surer."""
        for person in self._people:
            person.forget_evidence()

    def people(self) -> FrameStats:
        """Everybody so far, each once, by what they wore when last seen."""
        counts = self._left + Counter(person.class_id for person in self._people if person.number != NO_NUMBER)
        return FrameStats(tuple(counts[k] for k in range(len(self._classes))), self._classes, unknown=counts[None])

    @property
    def classes(self) -> tuple[str, ...]:
        """What is told apart."""
        return self._classes

    def present(self) -> list[Person]:
        """Everybody with a number who has not left."""
        return [person for person in self._people if person.number != NO_NUMBER]

    def name_of(self, person: Person) -> str | None:
        """The class of somebody, if that is sure enough."""
        return None if person.class_id is None else self._classes[person.class_id]

    def leave(self) -> None:
        """Nobody is in the picture any more: it has ended."""
        self._part_with(np.inf)
        self._newest, self._newest_of = no_detections(self._classes), []

    def departures(self) -> list[Departure]:
        """Who has left since this was last asked."""
        left, self._departures = self._departures, []
        return left

    def _part_with(self, at_s: float) -> None:
        """Count people who have left, and drop their tracks."""
        limits_s = [MAX_UNSEEN_S if person.seen_s == self._newest_s else MAX_GONE_S for person in self._people]
        gone = [
            person for person, limit_s in zip(self._people, limits_s, strict=True) if at_s - person.seen_s > limit_s
        ]
        numbered = [person for person in gone if person.number != NO_NUMBER]
        self._left.update(person.class_id for person in numbered)
        self._departures += [
            Departure(person.came_s, person.seen_s, person.counted_s, self.name_of(person)) for person in numbered
        ]
        self._people = [person for person in self._people if person not in gone]

    def _begin(self, at_s: float) -> Person:
        person = Person(NO_NUMBER, np.zeros(2), np.ones(2), at_s, np.zeros(len(self._classes)), came_s=at_s)
        self._people.append(person)
        return person

    def _assign(self, detections: sv.Detections, at_s: float) -> list[Person | None]:
        """Whose face each one is; ``None`` where nobody's."""
        found: list[Person | None] = [None] * len(detections)
        # Who has a number chooses first: a passing ghost must not take a person's face.
        for numbered in (True, False):
            waiting = [p for p in self._people if (p.number != NO_NUMBER) == numbered]
            free = [i for i, person in enumerate(found) if person is None]
            for k, i in _pairs(waiting, detections.xyxy[free].astype(float), at_s):
                found[free[i]] = waiting[k]
        return found


def _pairs(people: list[Person], xyxy: np.ndarray, at_s: float) -> Iterator[tuple[int, int]]:
    """Person and face that belong together, of people and (n, 4) boxes."""
    if not people or not len(xyxy):
        return
    centers, sizes = (xyxy[:, :2] + xyxy[:, 2:]) / 2, (xyxy[:, 2:] - xyxy[:, :2]).mean(axis=1)
    places = np.stack([person.place(at_s) for person in people])
    own_sizes = np.stack([person.size for person in people]).mean(axis=1)
    unit = np.sqrt(own_sizes[:, None] * sizes[None])
    distance = np.linalg.norm(places[:, None] - centers[None], axis=2) / unit
    cost = distance + SIZE_COST * np.abs(np.log2(own_sizes[:, None] / sizes[None]))
    # Somebody not seen for a while may be further away.
    gone_s = np.array([at_s - person.seen_s for person in people])
    limit = MAX_DISTANCE + MAX_SPEED * np.minimum(gone_s, MAX_AHEAD_S)
    far = 1e3
    rows, columns = linear_sum_assignment(np.where(cost > limit[:, None], far, cost))
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if cost[row, column] <= limit[row]:
            yield row, column


def _as_known(detections: sv.Detections, people: list[Person | None]) -> sv.Detections:
    """The faces with their people's numbers and states."""
    class_id, confidence = detections.class_id.copy(), detections.confidence.copy()
    predicted = detections.data[PREDICTED].copy()
    numbers = np.full(len(detections), NO_NUMBER)
    for i, person in enumerate(people):
        predicted[i] = person is not None and person.class_id is not None
        if person is not None:
            numbers[i] = person.number
            class_id[i] = person.evidence.argmax() if person.class_id is None else person.class_id
            confidence[i] = person.confidence()
    data = dict(detections.data) | {
        PREDICTED: predicted,
        CLASS_NAME: np.array(classes_of(detections), str)[class_id],
    }
    return replace(
        detections,
        class_id=class_id,
        confidence=confidence.astype(np.float32),
        data=data,
        metadata=dict(detections.metadata),
        tracker_id=numbers,
    )
