"""`bakeoff`: which of my fine-tunes should I ship?

One file per verb, in a folder per heading of the help; what is heavy is imported inside the verb, so that `bakeoff
--help` answers at once. A user's mistake prints one line and exits 2; a bug keeps its traceback.

Try: bakeoff --help · bakeoff demo
"""

from __future__ import annotations

import _thread
import importlib
import signal
import sys
import threading
from typing import Annotated

import typer

from bakeoff.streams import open_streams
from results import HANG_UP, memory_out, shortage, silence_hung_up
from results.errors import BakeoffError

VERBS = {
    "Fine-tune": ("fine_tuning", ("demo", "data", "plan", "run", "train")),
    "Keep": ("keeping", ("add", "models", "runs", "status", "rename", "store", "import_")),
    "Measure": ("measuring", ("evaluate", "score", "latency", "judge")),
    "Decide": ("deciding", ("scores", "compare", "decide")),
    "Ship": ("shipping", ("export", "push", "publish", "serve", "dashboard")),
    "This machine": ("", ("doctor",)),
}
"""Heading of the help → folder of `bakeoff/` and its verbs, in the order of the help.

Verb `x` is the function `x`, or the Typer `app`, of the module `x` in that folder.
"""

INTERRUPTED = 130
"""Exit code after Ctrl-C: what Typer makes of a KeyboardInterrupt."""

app = typer.Typer(
    name="bakeoff",
    help="Which of my fine-tuned small language models should I ship?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        import importlib.metadata

        print(f"bakeoff {importlib.metadata.version('bakeoff')}")
        raise typer.Exit


@app.callback()
def bakeoff(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version this is, and end.")
    ] = False,
) -> None:
    """Which of my fine-tuned small language models should I ship?"""


for heading, (folder, verbs) in VERBS.items():
    for verb in verbs:
        module = importlib.import_module(".".join(filter(None, ("bakeoff", folder, verb))))
        if isinstance(getattr(module, "app", None), typer.Typer):
            app.add_typer(module.app, name=verb, rich_help_panel=heading)
        else:
            app.command(verb.rstrip("_"), rich_help_panel=heading)(getattr(module, verb))


def main() -> None:
    """Run the command line: BakeoffError and what the machine lacks are one line and exit 2, Ctrl-C and SIGTERM 130."""
    listen_to_signals()
    open_streams()
    try:
        app()
    except BakeoffError as error:
        _last_words(shortage(error) if memory_out(error) else str(error))
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            _last_words("interrupted; the same command resumes where it stopped")
        raise
    except Exception as error:
        if not (lacking := shortage(error)):
            raise
        _last_words(lacking)
        sys.exit(2)


def _last_words(text: str) -> None:
    """Say why it ends, on a line of its own: what was being said may have been broken off."""
    newline = "\n" if getattr(sys.stderr, "midline", False) else ""
    print(f"{newline}bakeoff: {text}", file=sys.stderr)


def listen_to_signals() -> None:
    """Make Ctrl-C, SIGTERM and a closed terminal end the command, whatever it was started with.

    Shells start what goes to the background with SIGINT ignored; Python then installs no handler, and the command that
    promises to end by it never would. SIGHUP stays ignored where it is: that is what nohup is for.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _terminated)
    if HANG_UP and signal.getsignal(HANG_UP) is not signal.SIG_IGN:
        signal.signal(HANG_UP, _hung_up)
    sys.unraisablehook = _dropped


def _dropped(what: sys.UnraisableHookArgs) -> None:
    """Raise an interrupt again that Python dropped, as it does with what is raised in a weak reference's callback."""
    if what.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(what)
        return
    again = threading.Timer(0.1, _thread.interrupt_main)  # not at once: here it would be dropped, too
    again.daemon = True
    again.start()


def _terminated(number: int, _: object) -> None:
    """End as after Ctrl-C, so that nothing half-written stays; once, since timeout(1) sends two signals."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _hung_up(number: int, frame: object) -> None:
    silence_hung_up()
    _terminated(number, frame)


if __name__ == "__main__":
    main()
