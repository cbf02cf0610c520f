"""One door to every command of training: ``python -m train COMMAND …``; each is a module as well."""

import runpy
import sys
from collections.abc import Callable

import typer

COMMANDS = {
    "classifier": ("train.classifier", "Train a mask classifier."),
    "detector": ("train.detector", "Train the face detector."),
    "evaluate": ("train.evaluate", "Score a pipeline on annotated photos."),
    "publish": ("train.publish", "Copy a trained model to where the app finds it."),
    "convert": ("train.export.convert", "Convert a Keras file to LiteRT or ONNX."),
    "tune-haar": ("train.tune_haar", "Find the best settings of the Haar cascade."),
    "benchmark": ("train.benchmark_original", "Time the original pipeline and this one."),
    "benchmark-classifier": ("train.classifier.benchmark", "Time plain and cached training of the classifier."),
    "finish-detector": ("train.detector.finish", "Export and calibrate a trained detector again."),
    "operating-points": ("train.detector.operating_points", "Choose from which score a face is shown."),
    "ablation": ("train.detector.ablation", "Measure what helps a trained detector and what does not."),
    "pseudo-boxes": ("train.detector.pseudo_boxes", "Make pseudo labels with another face detector."),
    "small-photos": ("train.detector.small_photos", "Cut small photos of one person each."),
}
app = typer.Typer(
    name="python -m train",
    help="Train, score and publish models. COMMAND --help says what each one takes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _command(module: str) -> Callable[[typer.Context], None]:
    def run(context: typer.Context) -> None:
        # Its own parser knows its options, and says so under its own name.
        sys.argv = [module, *context.args]
        runpy.run_module(module, run_name="__main__", alter_sys=True)

    return run


for _name, (_module, _help) in COMMANDS.items():
    app.command(
        _name,
        help=_help,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(_command(_module))


if __name__ == "__main__":
    app()
