"""The pages of docs/reference/ that are written from the code: make docs"""

from __future__ import annotations

from collections.abc import Callable

from tests.docs import command_line, doors, environment, experiment_file, http, question_files, store_tables
from tests.docs.names import ROOT

PAGES: dict[str, Callable[[], str]] = {
    "docs/reference/command_line.md": command_line.page,
    "docs/reference/doors.md": doors.page,
    "docs/reference/environment.md": environment.page,
    "docs/reference/experiment_file.md": experiment_file.page,
    "docs/reference/http.md": http.page,
    "docs/reference/store.md": store_tables.page,
    "docs/reference/test_files.md": question_files.page,
}


def write() -> None:
    """Each of them anew."""
    for path, page in PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write()
