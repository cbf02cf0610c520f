"""The command line: ``python -m core detect INPUT… --out DIR``, ``watch`` and ``benchmark``."""

import functools
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

app = typer.Typer(
    name="python -m core",
    help="Who wears a face mask, without a browser: many photos at once, on all cores, or network cameras.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)
SHOWN = 10
"""So many unreadable files are named on the screen; the file has them all."""
INTERRUPTED = 130


@app.command()
def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT…", help="Photos, films, folders, patterns, lists of paths (.txt) or zip archives of photos."
        ),
    ],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder of the results; run again to resume.")],
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="neural, classic or combined.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="fast, balanced or thorough.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, help="Processes; one for each core.")] = None,
    formats: Annotated[str, typer.Option("--format", help="Any of csv, jsonl, coco, voc, yolo, with commas.")] = "csv",
    annotate: Annotated[bool, typer.Option("--annotate", help="Write the photos with boxes, too.")] = False,
    blur: Annotated[bool, typer.Option("--blur", help="Write the photos with blurred faces, too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 if a file could not be read.")] = False,
    cluster: Annotated[
        str | None, typer.Option("--cluster", metavar="ADDRESS", help="Of a Ray cluster; local for one begun here.")
    ] = None,
) -> None:
    """Find the faces of many photos and say who wears a mask; the results are those of the Photo page.

    Without --pipeline the active method is used, as on that page. Nothing is written outside DIR.
    """
    if cluster:
        if formats != "csv" or annotate or blur:
            _end("--cluster writes Parquet; leave out --format, --annotate and --blur.")
        _detect_on_cluster(cluster, inputs, str(folder), pipeline, preset, workers, strict)
        return
    from core.batch.formats import FORMATS, PEOPLE, UNREADABLE, write_formats
    from core.batch.inputs import items
    from core.batch.results import Results
    from core.batch.score import score
    from core.io import disk_sentence

    chosen = tuple(dict.fromkeys(name.strip().lower() for name in formats.split(",") if name.strip()))
    if not chosen or not set(chosen) <= FORMATS.keys():
        _end(f"--format {formats!r} is none; possible are {', '.join(FORMATS)}, several with commas.")
    try:
        work = _work(folder, pipeline, preset, annotate, blur)
        with Results(folder, work.as_settings()) as results:
            try:
                with _progress() as progress:
                    bar = progress.add_task("Counting photos", total=None)
                    before, total = len(results.done), sum(1 for _ in items(inputs, folder))
                    todo = sum(item.source not in results.done for item in items(inputs, folder)) if before else total
                    progress.update(bar, description="Photos", total=total, completed=total - todo)
                    score(items(inputs, folder), results, work, workers or cores(), lambda _: progress.advance(bar))
                    progress.update(bar, description="Writing the results")
                    summary = write_formats(results, chosen)
            except KeyboardInterrupt:
                err.print(f"Stopped; {len(results.done):,} photos are done. The same command resumes after them.")
                raise typer.Exit(INTERRUPTED) from None
    except ValueError as error:  # each of ours is a sentence
        _end(str(error))
    except OSError as error:
        _end(disk_sentence(error))
    if summary.films:
        out.print(f"{summary.films:,} films; their people are in {folder / PEOPLE}.", markup=False)
    _tell(summary, str(folder / UNREADABLE), strict)


def _tell(summary: Any, listed_in: str, strict: bool) -> None:
    """Say what came of all photos, and end with 1 where that is wanted: a ``core.batch.formats.Summary``."""
    from core.vision.stats import describe

    out.print(f"{summary.photos:,} photos. {describe(summary.stats)}", markup=False)
    if summary.unreadable:
        number = len(summary.unreadable)
        err.print(f"{number:,} could not be read; they are listed in {listed_in}:", markup=False)
        for source, reason in summary.unreadable[:SHOWN]:
            err.print(f"  {source}: {reason}", markup=False)
        if number > SHOWN:
            err.print(f"  and {number - SHOWN:,} more.")
    if summary.unreadable and strict:
        raise typer.Exit(1)


def _detect_on_cluster(
    address: str,
    inputs: list[str],
    folder: str,
    pipeline: str | None,
    preset: str | None,
    workers: int | None,
    strict: bool,
) -> None:
    if not find_spec("ray"):
        _end("--cluster needs one package more: pip install -r requirements-cluster.txt")
    from core.batch.cluster import RESULTS, score_on_cluster
    from core.io import disk_sentence

    try:
        work = _work(Path(folder), pipeline, preset, False, False)
        with _progress() as progress:
            bar = progress.add_task("Listing photos", total=None)

            def show(done: int, shards: int) -> None:
                progress.update(bar, description="Shards of photos", completed=done, total=shards)

            summary = score_on_cluster(inputs, folder, work, address, workers, show)
    except KeyboardInterrupt:
        err.print("Stopped; the same command resumes after the shards that are done.")
        raise typer.Exit(INTERRUPTED) from None
    except ValueError as error:  # each of ours is a sentence
        _end(str(error))
    except OSError as error:
        _end(disk_sentence(error))
    _tell(summary, f"{folder}/{RESULTS}", strict)


@app.command()
def watch(
    names: Annotated[
        list[str] | None, typer.Option("--camera", metavar="NAME", help="Only this one; may be given several times.")
    ] = None,
    record: Annotated[
        bool | None, typer.Option("--record/--no-record", help="Keep the record; as MASK_RECORD says, else yes.")
    ] = None,
    shown: Annotated[
        bool, typer.Option("--print/--no-print", help="Print a line for each camera every minute, and what happens.")
    ] = True,
) -> None:
    """Watch the network cameras in this server's settings without a browser, until Ctrl-C.

    Counts go on the record of the app, alerts to the targets in the settings.
    """
    import logging
    import signal
    import threading

    from core.config import OFF, file_secrets, settings, use_secrets
    from core.registry.active import in_use
    from core.video.cameras import Cameras, Prepared, prepared
    from core.video.record import Recorder
    from core.video.watch import watch
    from core.vision.pipeline import Method, Pipeline, build_pipeline, method_version

    @functools.lru_cache(1)
    def made(method: Method, version: str) -> Pipeline:
        return build_pipeline(*method)

    def prepare() -> Prepared:
        method = in_use().method
        version = method_version(method)
        return prepared(made(method, version), (method, version))

    logging.getLogger("core.video.cameras").setLevel(logging.ERROR)  # the lines below say the same
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        secrets = file_secrets()
        use_secrets(lambda: secrets)
        now = settings()
        for problem in now.problems:
            err.print(problem, markup=False)
        listed = [camera.name for camera in now.cameras]
        if not listed:
            _end("no camera is in the settings; docs/deployment.md says how to list them in MASK_CAMERAS.")
        for name in names or ():
            if name not in listed:
                _end(f"there is no camera {name!r}; possible are {', '.join(listed)}.")
        keeps = now.record != OFF if record is None else record
        prepare()
        cameras = Cameras(Recorder(), prepare, always=lambda: keeps, outside=bool(now.alert_urls))
        tell = functools.partial(out.print, markup=False) if shown else lambda _: None
        watch(cameras, tuple(dict.fromkeys(names or listed)), keeps, tell, stop)
    except ValueError as error:  # each of ours is a sentence
        _end(str(error))
    if shown:
        out.print("Stopped; what was counted is on the record." if keeps else "Stopped.")


@app.command()
def benchmark(
    photos: Annotated[int, typer.Option("--photos", min=10, help="How many photos are made for it.")] = 200,
    workers: Annotated[
        str | None, typer.Option("--workers", help="Numbers of processes, with commas; 1 and one for each core.")
    ] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="neural, classic or combined.")] = None,
    preset: Annotated[str | None, typer.Option("--preset", help="fast, balanced or thorough.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="ADDRESS", help="As for detect.")] = None,
) -> None:
    """Measure how many photos this computer does in a second, with photos made for it."""
    from core.batch.benchmark import rates

    try:
        numbers = [int(each) for each in workers.split(",")] if workers else sorted({1, cores()})
        first = 0.0
        for number, rate in rates(
            lambda folder: _work(folder, pipeline, preset, False, False), photos, numbers, cluster
        ):
            first = first or rate
            out.print(
                f"{number} worker{'s' if number > 1 else ''}: {rate:.2f} photos a second, {rate / first:.2f} times"
            )
    except ValueError as error:
        _end(str(error))


def _work(folder: Path, pipeline: str | None, preset: str | None, annotate: bool, blur: bool) -> Any:
    """What is done with every photo, with a model that can be used. Raises: ``ValueError``, with a sentence."""
    from dataclasses import replace

    from core.batch.score import Work
    from core.registry.active import active_method
    from core.vision.detector import PRESETS
    from core.vision.pipeline import LIVE_SETTINGS, PHOTO_SETTINGS, PIPELINES, build_pipeline

    for name, value, possible in (("--pipeline", pipeline, PIPELINES), ("--preset", preset, PRESETS)):
        if value is not None and value not in possible:
            raise ValueError(f"{name} {value!r} is none; possible are {', '.join(possible)}.")
    method = active_method(pipeline)
    build_pipeline(*method)
    photos, films = (replace(usual, preset=preset or usual.preset) for usual in (PHOTO_SETTINGS, LIVE_SETTINGS))
    return Work(method, photos, folder, films, annotate, blur)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    return Progress(*columns, Rate(), TimeRemainingColumn(), console=err)


class Rate(ProgressColumn):
    """How fast it goes."""

    def render(self, task: Task) -> Text:
        """The cell of a task."""
        return Text(f"{task.speed:.1f}/s" if task.speed else "")


def _end(sentence: str) -> NoReturn:
    err.print(f"python -m core: {sentence}", markup=False)
    raise typer.Exit(2)


if __name__ == "__main__":
    app()
