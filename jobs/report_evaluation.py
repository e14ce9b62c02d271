"""The page's sections on how good the run was: a plot each, and under it one sentence on what good looks like."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from jobs import report_chart as chart
from jobs import report_dots as dots
from jobs.report_chart import Line
from jobs.report_dots import Dot, Row
from jobs.report_names import OURS, label, ranked, yardstick
from online.evaluation.outcomes import OWN

_SLICES = {
    "all": "all events",
    "last_80": "last 80 %",
    "last_10_known_user": "last 10 %, known users",
    "user_event_1": "user's first event",
    "user_events_2_to_5": "user's events 2 to 5",
    "user_events_6_to_50": "user's events 6 to 50",
    "user_events_over_50": "user's events from 51 on",
    "second_event": "user's second event",
    "fifth_event": "user's fifth event",
    "item_event_1": "item's first event",
    "item_under_20_events": "item's events 2 to 20",
    "item_20_events_and_more": "item's events from 21 on",
    "last_10_new_user": "last 10 %, new users",
    "last_10_old_user": "last 10 %, old users",
    "last_10_new_item": "last 10 %, new items",
    "tail": "all events after the freeze",
}
_LISTS = {
    "coverage@10": "catalogue shown to anybody (coverage@10)",
    "novelty_bits": "novelty of what was shown, bits",
    "novelty_bits_of_events": "novelty of what users took, bits",
    "top_1_percent_of_lists": "places that went to the 1 % most popular items",
    "top_1_percent_of_events": "events on these items",
    "followed_lists": "lists that an event followed",
    "hit@10": "of these: lists with a hit",
    "precision@10": "precision@10",
    "recall@10": "recall@10",
    "f1@10": "F1@10",
    "map@10": "MAP@10",
}
_MEASURES = {
    "mrr": "MRR",
    "map@10": "MAP@10",
    "f1@10": "F1@10",
    "auc": "AUC",
    "debiased_hr@10": "Debiased HR@10",
}


def evaluation_sections(report: Mapping[str, Any]) -> str:
    """Return the sections; none where nothing was scored."""
    found, metrics = report["evaluation"], report["metrics"]
    if not found or OWN not in metrics or not metrics[OWN]["all"]["n"]:
        return ""
    sections = (_differences, _slices, _freshness, _frozen, _log_loss, _calibration, _measures, _lists, _actions)
    return "".join(section(found, metrics) for section in sections)


def _differences(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    models = found["slices"]["all"]["models"]
    rows = [
        Row(label(model), [_dot("headwater minus it", "s0", models[model]["hr@10"]["minus"])])
        for model in ranked(metrics, "all")
        if model not in OURS
    ]
    return _section(
        "Is it better?",
        "HR@10 of headwater minus that of each other model on the same events. The whisker is the 95 % interval: "
        f"{found['uncertainty']['draws']:,} draws of whole users.",
        _both(lambda layout: dots.dot_rows(rows, layout, "Differences of HR@10 with intervals")),
        "every dot and its whisker lie right of zero; a whisker across zero means that no difference was seen.",
    )


def _slices(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    models = ranked(metrics, "all")
    shown = dict(zip((OWN, yardstick(models), "sequential_rules"), ("s0", "s1", "s2"), strict=True))
    shown = {model: style for model, style in shown.items() if model in metrics}
    rows = [
        Row(
            f"{_SLICES[name]} ({chart.short(one['n'])})",
            [_dot(label(model), style, one["models"][model]["hr@10"]) for model, style in shown.items()],
        )
        for name, one in found["slices"].items()
        if one["n"]
    ]
    lines = [Line(label(model), style, ()) for model, style in shown.items()]
    return _section(
        "For whom, and for what?",
        "HR@10 by slice, the number of events in brackets, with 95 % intervals.",
        _both(lambda layout: dots.dot_rows(rows, layout, "HR@10 by slice")) + chart.legend(lines, {}),
        "the blue-green dot is the rightmost of each row, for first events of users and items too.",
    )


def _freshness(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    serving = found["serving"]
    names = ["at once", *(lag["lag"] for lag in serving["lags"])]
    lines = [
        Line("hits", "s0", [serving["ranked"]["hr@10"], *(lag["hr@10"] for lag in serving["lags"])]),
        Line("hits, where there is a list", "s3", [None, *(lag["hr@10_with_list"] for lag in serving["lags"])]),
    ]
    ages = [one for one in serving["ages"] if one["n"]]
    by_age = [
        Line("the list that was there", "s0", [one["hr@10"] for one in ages]),
        Line("ranked at once", "s1", [one["ranked_hr@10"] for one in ages]),
    ]
    first = serving["lags"][0]
    return _section(
        "Quality against freshness",
        "HR@10 of the newest list that the user really had, by how late a list arrives; a user without one is a miss "
        f"({1 - first['with_list']:.0%} of the events at lag 0). At once: ranks just before each event was learned. "
        "Below, without a lag, by how old that list was when the event came.",
        _wide_and_narrow(lambda frame: chart.named_curve(names, lines, frame, "HR@10 by lag"))
        + chart.legend(lines, {})
        + _wide_and_narrow(
            lambda frame: chart.named_curve([one["age"] for one in ages], by_age, frame, "HR@10 by age of the list")
        )
        + chart.legend(by_age, {}),
        "above, the line is high at 0 s and falls late; below, the two lie near each other, and where they part, "
        "fresher lists would pay.",
    )


def _frozen(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    control = found["frozen_control"]
    if control is None:
        return ""
    tail, curve = control["slices"]["tail"], control["curve"]
    if not tail["n"]:
        return ""
    minus = tail["hr@10"]["minus"]
    lines = [Line("online", "s0", curve["online"]), Line("frozen", "s1", curve["frozen"])]
    rows = [
        Row(_SLICES[name], [_dot("online minus frozen", "s0", one["hr@10"]["minus"])])
        for name, one in control["slices"].items()
        if one["n"]
    ]
    interval = "" if minus["low"] is None else f" ({minus['low']:+.4f} to {minus['high']:+.4f})"
    plots = _wide_and_narrow(
        lambda frame: chart.learning_curve(curve["at"], lines, frame, "Online and frozen HR@10", from_zero=False)
    )
    return _section(
        "What learning was worth",
        f"The same run with all learning stopped after event {control['first']:,}, against the run itself. HR@10 of "
        f"the {tail['n']:,} events after it: {tail['hr@10']['online']:.4f} online, {tail['hr@10']['frozen']:.4f} "
        f"frozen, difference {minus['mean']:+.4f}{interval}. Shown are means over {curve['window']:,} events, then the "
        "difference by slice.",
        plots + chart.legend(lines, {}) + _both(lambda layout: dots.dot_rows(rows, layout, "Online minus frozen")),
        "the lines part and go on parting, and every difference lies right of zero.",
    )


def _log_loss(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    loss = found["log_loss"]
    nothing = [loss["knowing_nothing"]] * len(loss["at"])
    lines = [
        Line(f"last {chart.short(loss['window'])} events", "s0", loss["sliding"]),
        Line("since the start", "s3", loss["cumulative"]),
        Line("knowing nothing", "dim", nothing),
    ]
    return _section(
        "How surprised it was",
        f"Log-loss: {loss['mean']:.3f} on average; knowing nothing costs {loss['knowing_nothing']:.3f}. {loss['note']}",
        _wide_and_narrow(lambda frame: chart.learning_curve(loss["at"], lines, frame, "Log-loss", from_zero=False))
        + chart.legend(lines, {}),
        "both lines fall and stay far below knowing nothing; a jump is a day that was unlike those before it.",
    )


def _calibration(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    calibration = found["calibration"]
    series = {
        name: [(one["claimed"], one["happened"]) for one in calibration[key]["bins"]]
        for key, name in (("catalogue", "of all events"), ("candidates", "where the item was a candidate"))
    }
    lines = [Line(name, style, ()) for name, style in zip(series, dots.SERIES, strict=True)]
    plot = dots.square(list(series.values()), "Claimed probability against what happened", "claimed", "happened")
    return _section(
        "Can its probabilities be believed?",
        f"{calibration['note']} The error is {calibration['catalogue']['error']:.4f} of all events, "
        f"{calibration['candidates']['error']:.4f} where the item was a candidate.",
        plot + chart.legend(lines, {}),
        "dots lie on the diagonal; above it the blend is too modest, below it too sure.",
    )


def _measures(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    rows = []
    for model in ranked(metrics, "all"):
        one = found["measures"][model]
        cells = [f"{one[key]:.4f}" for key in _MEASURES]
        rows.append((label(model), [*cells, f"{one['standard_error_hr@10']:.4f}", f"{one['n']:,}"], model == OWN))
    return _section(
        "More measures",
        "Of ranks over all events. One item is relevant to an event, so recall@10 is HR@10 and MAP@10 is MRR@10. AUC "
        "counts an item without a score as last. Debiased: every item counts the same, however popular. Peers by "
        f"others: {found.get('peers', 'none')}.",
        _table(("Model", *_MEASURES.values(), "s.e. of HR@10", "n"), rows),
        "headwater leads in each column but AUC, where items outside its candidates count as last; a high HR@10 with a "
        "low debiased one is popularity in another dress.",
    )


def _lists(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    lists = found["lists"]
    rows = [(name, [f"{lists[key]:,}" if key == "followed_lists" else f"{lists[key]:.4f}"], False)
            for key, name in _LISTS.items()]  # fmt: skip
    return _section(
        "What the delivered lists were like",
        f"{lists['note']} {lists['lists']:,} lists over {lists['catalogue']:,} items.",
        _table(("", ""), rows),
        "much of the catalogue is shown, and popular items get little more of the lists than of the events.",
    )


def _actions(found: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    actions = found["actions"]
    if not any(one["action"] for one in actions):
        return ""
    rows = [
        (
            one["action"] or "(none named)",
            [f"{one['events']:,}", f"{one['hr@10']:.4f}", f"{one['converted_lists']:,}", f"{one['conversion']:.4f}"],
            False,
        )
        for one in actions
    ]
    return _section(
        "Conversion by action",
        "A list is converted when its user took one of its first ten items with this action before the next list came.",
        _table(("Action", "Events", "HR@10", "Converted lists", "Share of all lists"), rows),
        "the actions that earn something, a purchase before a view, have the higher HR@10.",
    )


def _dot(name: str, style: str, interval: Mapping[str, Any]) -> Dot:
    return Dot(name, style, interval["mean"], interval["low"], interval["high"])


def _section(title: str, text: str, plot: str, good: str) -> str:
    return (
        f'<section><h2>{escape(title)}</h2><p class="quiet">{escape(text)}</p>{plot}'
        f'<p class="good"><b>Good:</b> {escape(good)}</p></section>'
    )


def _both(draw: Callable[[dots.Layout], str]) -> str:
    return f'<div class="wide">{draw(dots.WIDE)}</div><div class="narrow">{draw(dots.NARROW)}</div>'


def _wide_and_narrow(draw: Callable[[chart.Frame], str]) -> str:
    return f'<div class="wide">{draw(chart.WIDE)}</div><div class="narrow">{draw(chart.NARROW)}</div>'


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str], bool]]) -> str:
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = ""
    for name, cells, own in rows:
        row = "".join(f"<td>{escape(cell)}</td>" for cell in (name, *cells))
        body += f'<tr class="own">{row}</tr>' if own else f"<tr>{row}</tr>"
    return f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'
