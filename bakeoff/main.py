"""`bakeoff`: which of my fine-tunes should I ship?

One file per verb; what is heavy is imported inside the verb, so that `bakeoff --help` answers at once.
A user's mistake prints one line and exits 2; a bug keeps its traceback.

Try: bakeoff --help · bakeoff demo
"""

from __future__ import annotations

import importlib
import signal
import sys

import typer

from results.errors import BakeoffError

VERBS = (
    "demo",
    "data",
    "plan",
    "run",
    "train",
    "runs",
    "models",
    "scores",
    "evaluate",
    "score",
    "store",
    "compare",
    "decide",
    "import_",
    "export",
    "latency",
    "judge",
    "push",
    "serve",
    "dashboard",
    "doctor",
)
"""In the order of the help. Verb `x` is the function `x`, or the Typer `app`, of `bakeoff/x.py`."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: what Typer makes of a KeyboardInterrupt."""

app = typer.Typer(
    name="bakeoff",
    help="Which of my fine-tuned small language models should I ship?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def bakeoff() -> None:
    """Which of my fine-tuned small language models should I ship?"""


for verb in VERBS:
    module = importlib.import_module(f"bakeoff.{verb}")
    if isinstance(getattr(module, "app", None), typer.Typer):
        app.add_typer(module.app, name=verb)
    else:
        app.command(verb.rstrip("_"))(getattr(module, verb))


def main() -> None:
    """Run the command line: BakeoffError is one line and exit 2, Ctrl-C and SIGTERM exit 130."""
    listen_to_signals()
    try:
        app()
    except BakeoffError as error:
        print(f"bakeoff: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            print("bakeoff: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise


def listen_to_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal end the command, whatever it was started with.

    Shells start what goes to the background with SIGINT ignored; Python then installs no handler, and the command that
    promises to end by it never would. SIGHUP stays ignored where it is: that is what nohup is for.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _terminated)


def _terminated(number: int, _: object) -> None:
    """End as after Ctrl-C, so that nothing half-written stays; once, since timeout(1) sends two signals."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
