"""How long a training takes on this machine: what each stage costs, corrected by how long it took the last times."""

import json
from math import ceil
from pathlib import Path

from core.files import write_json
from train.places import runs_dir

SPEEDS = "speed.json"
# Seconds on two cores of an x86 server, November 2026; another machine's own runs correct them.
START_S = 9.0  # TensorFlow's import, the network, its weights
READ_S = 0.006  # a picture
TRAIN_S = 0.013  # a face shown to the whole network, base frozen
JUDGE_S = 0.012  # a face judged by the whole network
CONVERT_S = 4.0  # the frozen base made into a LiteRT file
FEATURE_S = 0.005  # a view made and put through that
HEAD_STEP_S = 0.003  # a batch of kept features
FIRST_STEP_S = 4.0  # of a stage on pictures, and one more for each unfrozen block
SAVE_S = 0.5
EXPORT_S = {"int8": 18.0, "fp16": 6.0, "float32": 6.0}
# Before the first measurement it is better to promise too little.
CAUTION = 1.5
# One run alone says little where other work ran beside it.
NEW_SHARE = 0.6


def backward_cost(blocks: int) -> float:
    """Cost of a training step with that many blocks unfrozen, 0..16, relative to a frozen base."""
    # The earlier a block, the larger its maps.
    return 1.0 if not blocks else 1.3 + 0.08 * blocks + 0.2 * max(0, blocks - 10) + 0.5 * max(0, blocks - 13)


def stage_kind(config, stage: str) -> str:
    """The name under which a stage's speed is kept: a head on kept features is another matter than one on pictures."""
    return f"{stage} on features" if stage == "head" and config.features == "cached" else stage


def stage_seconds(config, train: int, val: int, test: int) -> dict[str, float]:
    """Seconds that each stage of a run should take here, in their order.

    Args:
        config: a ``TrainConfig``, or anything with its settings.
        train, val, test: numbers of faces; those held out count as test.
    """
    steps = ceil(train / config.batch_size)
    shown = steps * config.batch_size
    per_epoch = JUDGE_S * val + SAVE_S
    seconds = {"reading": START_S + READ_S * (train + val + test)}
    if config.features == "cached":
        seconds["features"] = CONVERT_S + FEATURE_S * (train * (config.views + 1) + val)
        seconds["head"] = 2 + SAVE_S + config.epochs * HEAD_STEP_S * steps
    else:
        seconds["head"] = FIRST_STEP_S + config.epochs * (TRAIN_S * shown + per_epoch)
    if config.fine_tune_blocks:
        step = TRAIN_S * backward_cost(config.fine_tune_blocks)
        first = FIRST_STEP_S + config.fine_tune_blocks
        seconds["fine-tune"] = first + config.fine_tune_epochs * (step * shown + per_epoch)
    seconds["finishing"] = EXPORT_S.get(config.precision, max(EXPORT_S.values())) + JUDGE_S * (val + 1.5 * test)
    factors = read_factors()
    return {stage: value * factors.get(stage_kind(config, stage), CAUTION) for stage, value in seconds.items()}


def read_factors() -> dict[str, float]:
    """By kind of stage, how much longer it took here than the numbers above say; empty before the first run."""
    try:
        found = json.loads((runs_dir() / SPEEDS).read_text(encoding="utf-8"))
        return {str(kind): float(factor) for kind, factor in found.items() if 0 < float(factor) < 1000}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def record(config, out: Path | str, slowness: dict[str, float]) -> None:
    """Remember what a run taught; only runs of this server's own folder count.

    Args:
        config: as above.
        out: the run folder.
        slowness: by stage, seconds it took over seconds that ``stage_seconds`` expected of it.
    """
    if not Path(out).absolute().is_relative_to(runs_dir()):
        return
    factors = read_factors()
    for stage, ratio in slowness.items():
        kind = stage_kind(config, stage)
        before = factors.get(kind)
        measured = ratio * (CAUTION if before is None else before)
        factors[kind] = round(measured if before is None else before + NEW_SHARE * (measured - before), 3)
    write_json(runs_dir() / SPEEDS, factors)
