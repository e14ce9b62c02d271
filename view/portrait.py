"""What is shown of one user: events, the list, why each item stands there, the list before, and what moved."""

from typing import Any

from view.people import Person, Refreshed, Seen
from view.view import View

UNRANKED = 2**31 - 1  # as in online.kernels, whose import would compile them: scored, but no candidate


def recommendations(view: View, user: str, most: int, now_ms: int, *, live: bool) -> dict[str, Any]:
    """Return the answer to a request for a user's list; see `view.answers.Recommendations`."""
    person = view.people.get(user)
    made = None if person is None else person.now
    if made is None:
        items = [{"item": item, "title": view.shelf.get(item).title, "score": None} for item in view.fallback()[:most]]
        nothing = dict.fromkeys(("at", "age_s", "head", "model_id", "after"))
        return {"user": user, "source": "fallback", "items": items, **nothing}
    return {
        "user": user,
        "source": "list",
        "items": [
            {"item": item, "title": view.shelf.get(item).title, "score": score}
            for item, score in zip(made.items[:most], made.scores, strict=False)
        ],
        "at": made.at,
        "age_s": _age_s(view, made, now_ms, live=live),
        "head": made.head,
        "model_id": made.model_id,
        "after": {"partition": made.partition, "offset": made.offset, "event_id": made.event_id},
    }


def portrait(view: View, user: str, now_ms: int, *, live: bool) -> dict[str, Any]:
    """Return all that the page shows of a user."""
    person = view.people.get(user) or Person()
    now, before = person.now, person.before
    old = {} if before is None else {item: place for place, item in enumerate(before.items, 1)}
    why = {} if now is None or now.why is None else now.why
    items = [] if now is None else now.items
    return {
        **recommendations(view, user, view.job.top_k, now_ms, live=live),
        "items": [_listed(view, item, place, old, why) for place, item in enumerate(items)]
        or [{"item": item, **_named(view, item)} for item in view.fallback()],
        "parts": list(why),
        "before": None if before is None else {
            "at": before.at,
            "head": before.head,
            "items": [{"item": item, **_named(view, item), "gone": item not in items} for item in before.items],
        },
        "events": [_event(view, seen) for seen in person.seen],
    }  # fmt: skip


def _listed(view: View, item: str, place: int, old: dict[str, int], why: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "item": item,
        **_named(view, item),
        "was": old.get(item),  # place in the list before, from 1
        "why": {part: shares[place] for part, shares in why.items()},
    }


def _event(view: View, seen: Seen) -> dict[str, Any]:
    rank = None if seen.rank in (0, UNRANKED) else seen.rank
    return {"item": seen.item, **_named(view, seen.item), "at": seen.at_ms, "action": seen.action, "rank": rank}


def _named(view: View, item: str) -> dict[str, str]:
    entry = view.shelf.get(item)
    return {"title": entry.title, "about": entry.about}


def _age_s(view: View, made: Refreshed, now_ms: int, *, live: bool) -> float:
    return round(max(0, now_ms - made.came_ms if live else view.totals.tick - made.at) / 1000, 3)
