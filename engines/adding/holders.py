"""A name that another model has already: whether the one that is added may have it, and what is said of it.

What lies where the other came from is that model as it is today: it takes the name, and the older state is archived.
Anything else takes a name from another model only where the person says so.
"""

from __future__ import annotations

from engines.adding.checking.inspection import Plan
from results import Model, NotFound, Store


def check_name(plan: Plan, name: str, store: Store, replace: bool) -> None:
    """Look who has the name; what is found goes into the plan's checklist. replace: nobody keeps it."""
    try:
        holder = store.models.find(name)
    except NotFound:
        return None
    if holder.name != name:
        if holder.id != name:
            plan.checklist.note(
                "name", f"{name} was the earlier name of {holder.name}; from now on it is this model's."
            )
        return None
    place = str(plan.found.path or plan.found.source)
    if place == holder.path or came_from(holder) == plan.found.source:
        return plan.checklist.note("name", f"{place} has changed since {name} was added.")
    if replace:
        return None
    return plan.checklist.fail(
        "name",
        f"Another model is called {name}: {what(holder)}.",
        "Call this one otherwise (--name NAME), or have the other archived under another name (--replace)",
    )


def came_from(model: Model) -> str:
    """The source that a model was added from; "" for one that was made here."""
    added = model.details.get("added")
    return str(added.get("source", "")) if isinstance(added, dict) else ""


def what(model: Model) -> str:
    """A model of the store, as the person would know it again."""
    source = came_from(model)
    return f"{model.form} of {model.base}, {f'added from {source}' if source else 'made here'}"
