"""Put a trained model to work: ``python -m train.publish --run RUN_DIR --name NAME`` copies it into ``models/``."""

import argparse
import sys

from core.config import models_dir
from core.registry.store import install_model


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m train.publish", description="Put a trained model to work.", allow_abbrev=False
    )
    parser.add_argument("--run", required=True, metavar="RUN_DIR", help="folder of a finished training run")
    parser.add_argument("--name", required=True, help="the name under which the app finds it")
    parser.add_argument(
        "--failure", action="append", default=[], metavar="SENTENCE", help="for the card: what the model gets wrong"
    )
    given = parser.parse_args()
    card = install_model(given.run, given.name, failures=given.failure)
    print(f"{models_dir().name}/{card.file}: {', '.join(card.classes)}")


if __name__ == "__main__":
    try:
        main()
    except ValueError as error:
        sys.exit(f"train.publish: {error}")
