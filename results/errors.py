"""Errors that name the value and the remedy.

    BakeoffError          a user's mistake or a missing piece: one line on the command line, exit 2
    ├── StoreError        the store cannot be opened or used
    │   ├── StoreTooNew   written by a newer Bakeoff
    │   └── StoreBusy     locked or unreachable for longer than the timeout
    ├── NotFound          no such run, model, evaluation or file
    ├── Immutable         a finished run or evaluation would be changed
    ├── FileUnreadable    a file that somebody handed in is missing, no plain file, too large or malformed
    ├── NameTaken         a fine-tune cannot be called so
    └── ImportRefused     a foreign file cannot be read, or must not be

Other rooms derive their own from BakeoffError. Anything else that escapes is a bug and keeps its traceback.
"""


class BakeoffError(Exception):
    """A mistake of the user's or a missing piece of the machine's. The message says what, which value, what next."""


class StoreError(BakeoffError):
    """The store cannot be opened or used."""


class StoreTooNew(StoreError):
    """The store was written by a newer Bakeoff."""


class StoreBusy(StoreError):
    """The store was locked or unreachable for longer than the timeout; what was to be written is not lost."""


class NotFound(BakeoffError):
    """No such run, model, evaluation or file."""


class Immutable(BakeoffError):
    """A finished run or evaluation is never modified."""


class FileUnreadable(BakeoffError):
    """A file that somebody handed in cannot be read within bounds. One line: the file and the reason."""

    def __init__(self, path: object, reason: str, missing: bool = False) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason
        self.missing = missing
        """There is no such file."""


class NameTaken(BakeoffError):
    """A fine-tune cannot be called so: another is, or it is no name."""


class ImportRefused(BakeoffError):
    """A foreign file cannot be imported, or must not be. Names the file and the reason."""
