"""`bakeoff store`: the database itself: what is in it, its schema, a copy of it, another one taken in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bakeoff.options import JsonOption, WorkspaceOption

app = typer.Typer(no_args_is_help=True, help="Look at the store, upgrade it, copy it, move it, or take another one in.")


@app.command()
def info(json_: JsonOption = False, workspace: WorkspaceOption = None) -> None:
    """Say where the store is, its schema, and how much is in it.

    bakeoff store info
    """
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        found = store.info()
    if json_:
        print(json.dumps(found, indent=1))
        return
    size = "" if found["bytes"] is None else f" · {found['bytes'] / 1e6:.1f} MB"
    print(f"{found['url']} · schema {found['schema']}{size}")
    print(" · ".join(f"{count:,} {table.replace('_', ' ')}" for table, count in sorted(found["rows"].items())))
    if found["spooled_files"]:
        print(f"{found['spooled_files']} files with points that wait to be delivered: bakeoff store upgrade")


@app.command()
def upgrade(workspace: WorkspaceOption = None) -> None:
    """Bring the schema up to date (every command does so too) and deliver points that had to be spooled.

    bakeoff store upgrade
    """
    from results import Workspace

    with Workspace.open(workspace).existing().store() as store:
        waiting = store.deliver_spooled()
        print(f"{store.url_masked} · schema {store.info()['schema']}")
    for problem in waiting:
        typer.echo(f"bakeoff: {problem}", err=True)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="A new SQLite file; it must not exist.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Copy the whole store into a new SQLite file, from SQLite or PostgreSQL, for another machine to merge.

    bakeoff store export results-of-gpu-box.db
    """
    from results import BakeoffError, Store, Workspace, merge

    if file.exists():
        raise BakeoffError(f"{file} exists; name a file that does not, or merge into it: bakeoff store merge")
    with Workspace.open(workspace).existing().store() as store, Store(file) as copy:
        report = merge(copy, store)
    print(f"{file}: " + ", ".join(f"{count:,} {noun}" for noun, count in report.taken.items()))


@app.command()
def merge(
    other: Annotated[str, typer.Argument(help="A workspace folder, an SQLite file or a postgresql:// URL.")],
    json_: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Take another machine's results in; what is here already stays, and nothing is doubled.

    bakeoff store merge results-of-gpu-box.db
    """
    import results

    with results.Workspace.open(workspace).store() as store, results.Workspace.existing_store(other) as source:
        report = results.merge(store, source)
    if json_:
        print(json.dumps(vars(report), indent=1))
        return
    for noun, count in report.taken.items():
        print(f"{noun}: {count:,} taken in, {report.present[noun]:,} were here")
    for difference in report.differences:
        print(difference)


@app.command()
def move(
    source: Annotated[
        str, typer.Argument(metavar="FROM", help="A workspace folder, an SQLite file or a postgresql:// URL.")
    ],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same, of a store without rows, or a new file.")],
    json_: JsonOption = False,
) -> None:
    """Copy a whole store into an empty one, SQLite to PostgreSQL or back, bit for bit, and compare the two.

    All arrives or nothing: after a crash, give the command again. FROM keeps its rows; nobody can write to either
    meanwhile. A password may come from PGPASSWORD or ~/.pgpass.

    bakeoff store move workspace postgresql://team@db.example/bakeoff
    """
    from bakeoff.progress import drawn
    from results import Workspace

    with Workspace.existing_store(source) as one, Workspace.any_store(target) as other, drawn() as progress:
        report = one.move_into(other, progress)
        places = {"from": one.url_masked, "to": other.url_masked}
    if json_:
        print(json.dumps({**places, **vars(report)}, indent=1))
        return
    for table, count in report.rows.items():
        print(f"{table.replace('_', ' ')}: {count:,} rows, checksum {report.checksums[table][:16]}")
    for note in report.notes:
        print(note)
    print(
        f"{sum(report.rows.values()):,} rows of {places['from']} are in {places['to']}; numbers and checksums agree "
        f"({report.seconds:.1f} s). Work on there with: --workspace or BAKEOFF_DATABASE_URL"
    )


@app.command()
def upload(
    model: Annotated[
        list[str] | None, typer.Argument(help="Names or ids; default: every model with files here.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Copy models' files to the folder or URL in BAKEOFF_ARTIFACTS, for machines that share this store.

    An upload that was interrupted goes on with the files that are not there yet. BAKEOFF_ARTIFACTS may be a folder, or
    a URL like s3://bucket/team, with the extra s3 and AWS's variables in the environment.

    BAKEOFF_ARTIFACTS=s3://bucket/team bakeoff store upload demo-rank8
    """
    from bakeoff.progress import drawn
    from results import Workspace

    place = Workspace.open(workspace).existing()
    with place.store() as store:
        chosen = [store.models.find(name) for name in model] if model else store.models.list()
    artifacts = place.artifacts()
    for each in chosen:
        if not Path(each.path).is_absolute() and (model or place.resolve(each.path).exists()):
            with drawn() as progress:
                done = artifacts.put(place.resolve(each.path), each.path, progress)
            print(f"{each.name}: {'uploaded' if done else 'was there'}")


@app.command()
def download(
    model: Annotated[list[str], typer.Argument(help="Names or ids.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Fetch models' files that another machine uploaded to BAKEOFF_ARTIFACTS.

    BAKEOFF_ARTIFACTS=s3://bucket/team bakeoff store download demo-rank8
    """
    from results import Workspace

    place = Workspace.open(workspace).existing()
    with place.store() as store:
        chosen = [store.models.find(name) for name in model]
    for each in chosen:
        if place.resolve(each.path).exists():
            print(f"{each.name}: is here")
        else:
            place.artifacts().get(each.path, place.resolve(each.path))
            print(f"{each.name}: {place.resolve(each.path)}")
