"""The report as a page: one self-contained file that says how good the lists were, and from what they were made."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from jobs.report_chart import NARROW, WIDE, Line, learning_curve, legend
from jobs.report_evaluation import evaluation_sections
from jobs.report_names import OURS, label, ranked, yardstick
from online.evaluation.outcomes import OWN
from online.evaluation.ranks import standard_error
from online.evaluation.slices import HEADLINES
from online.event import REASONS

_PAGE = Path(__file__).with_name("report_page.html")
_STYLES = ("s2", "s3", "s4", "s5", "s6")  # of the models beside ours and decayed popularity; then "dim"
_COLUMNS = ("hr@10", "ndcg@10", "mrr@10", "hr@20", "ndcg@20")
_SLICE_NAMES = {"all": "All events", "last_80": "Last 80 %", "last_10_known_user": "Last 10 %, known users"}
_MEANINGS = {
    "HR@10": "The share of events whose item ranked among the first ten just before the event was learned.",
    "NDCG@10": "The same, but a hit counts less further down: 1 at the top, 0.63 in second place, 0.29 in tenth.",
    "MRR@10": "The mean of 1 / place, 0 beyond the tenth place.",
    "@20": "The same with the first twenty.",
    "n": "Events that were scored. A repeat of an item that is no candidate cannot be recommended and is not scored.",
    "On request": "What headwater would reach if a list were made when the user asks: it may know how long ago the "
    "user was here last.",
    "Ranking": "Every item of the catalogue takes part, none is sampled; a tie counts against the model.",
    "Order": "Each event is ranked before it is learned, in the order of event time, by what was learned before its "
    "mini-batch. A list that was made at the end of the tick before knows less, so it hits less often.",
}


def write_report_html(report: Mapping[str, Any], path: Path) -> None:
    """Write the page of a report made by `online.report.build_report`."""
    path.write_text(render_report(report), encoding="utf-8")


def render_report(report: Mapping[str, Any]) -> str:
    """Return the page. All text that comes from the run is escaped; nothing is loaded from anywhere.

    Of the report's further keys it shows, where present: `engine`, `mode`, `parallelism`, `items`, `first_ms`,
    `last_ms` and `input_sha256`.
    """
    name = str(report["config"].get("name") or "replay")
    models = ranked(report["metrics"], "all")
    lines = _lines(report, models)
    curve = report["curves"]
    title = f"HR@10 of {len(lines)} models over {report['accepted']:,} events"
    figures = {label(model): f"{report['metrics'][model]['all']['hr@10']:.3f}" for model in models}
    parts = {
        "title": escape(f"{name} - Headwater report"),
        "name": escape(name),
        "about": escape(_about(report)),
        "verdict": _verdict(report, models),
        "tiles": _tiles(report, models),
        "curve_text": escape(
            f"HR@10 over a sliding window of {curve['window']:,} events, by accepted events. "
            "Rest the pointer on the drawing for its figures."
        ),
        "curve_wide": learning_curve(curve["at"], lines, WIDE, title),
        "curve_narrow": learning_curve(curve["at"], lines, NARROW, title),
        "legend": legend(lines, figures),
        "evaluation": evaluation_sections(report),
        "quality_text": escape(_error_text(report)),
        "tables": "".join(_slice(report["metrics"], name, is_open=name == "all") for name in HEADLINES),
        "meanings": "".join(f"<dt>{escape(word)}</dt><dd>{escape(text)}</dd>" for word, text in _MEANINGS.items()),
        "sum": _sum(report),
        "reasons": _reasons(report.get("dead_letters_by_reason", {})),
        "traces": _pairs(_traces(report), code=True),
        "config": _pairs(_flat(report["config"])),
        "versions": _pairs(sorted(report["versions"].items())),
        "footer": escape("Made by headwater from report.json, which holds every figure of this page."),
    }
    return Template(_PAGE.read_text(encoding="utf-8")).substitute(parts)


def _lines(report: Mapping[str, Any], models: Sequence[str]) -> list[Line]:
    """Return the curves: ours, the yardstick, then the others, further popularities dimmed."""
    hr = report["curves"]["hr@10"]
    base_line = yardstick(models)
    others = [model for model in models if model not in (OWN, base_line)]
    others.sort(key=lambda model: model.startswith("popularity"))
    styles = iter(_STYLES)
    styled = [(model, "dim" if model.startswith("popularity") else next(styles, "dim")) for model in others]
    styled = [(OWN, "s0"), (base_line, "s1"), *styled]
    return [Line(label(model), style, hr[model]) for model, style in styled if model in hr]


def _about(report: Mapping[str, Any]) -> str:
    about = []
    if report.get("last_ms"):
        about.append(f"{_day(report['first_ms'])} to {_day(report['last_ms'])}")
    if report.get("items"):
        about.append(f"{report['items']:,} items")
    if report.get("unknown_items"):
        about.append(f"{report['unknown_items']:,} items of the log not in the catalogue")
    if report.get("engine"):
        mode = f", {report['mode']} mode" if report.get("mode") else ""
        parallelism = f", parallelism {report['parallelism']}" if report.get("parallelism") else ""
        about.append(f"engine {report['engine']}{mode}{parallelism}")
    candidates = report["config"].get("lists", {}).get("candidates")
    if candidates:
        about.append(f"candidates: {candidates.replace('_', ' ')}")
    return " · ".join(about)


def _verdict(report: Mapping[str, Any], models: Sequence[str]) -> str:
    """Say in a sentence or two what came out."""
    if OWN not in report["metrics"] or not report["metrics"][OWN]["all"]["n"]:
        return "No event was scored, so there is nothing to say about quality."
    own = report["metrics"][OWN]["all"]
    share = f"<b>{own['hr@10']:.1%}</b> of {own['n']:,.0f} events"
    text = f"For {share} the item ranked among the first ten just before the event was learned"
    rivals = [model for model in models if model not in OURS]
    if not rivals:
        return f"{text}."
    best = report["metrics"][rivals[0]]["all"]
    text += f"; the best single model, {escape(label(rivals[0]))}, reaches {best['hr@10']:.1%}"
    base_line = yardstick(models)
    if base_line and base_line != rivals[0]:
        text += f", decayed popularity {report['metrics'][base_line]['all']['hr@10']:.1%}"
    if own["hr@10"] <= best["hr@10"]:
        text += ". <b>On this log the blend does not beat its best expert</b>"
    return f"{text}."


def _tiles(report: Mapping[str, Any], models: Sequence[str]) -> str:
    tiles = []
    own = report["metrics"].get(OWN, {}).get("all")
    if own:
        tiles += [
            (f"{own['hr@10']:.4f}", "HR@10, all events", True),
            (f"{own['ndcg@10']:.4f}", "NDCG@10, all events", False),
        ]
        base_line = yardstick(models)
        base = report["metrics"][base_line]["all"]["hr@10"] if base_line else 0.0
        if base:
            tiles.append((f"{own['hr@10'] / base:.2f}×", "HR@10 of decayed popularity", False))
    tiles.append((f"{report['lists']:,}", "lists made", False))
    tiles.append(
        (f"{report['events_per_s']:,.0f}/s", f"events, {report['events']:,} in {_span(report['wall_s'])}", False)
    )
    return "".join(
        f'<div class="tile{" main" if main else ""}"><b>{escape(figure)}</b><span>{escape(text)}</span></div>'
        for figure, text, main in tiles
    )


def _error_text(report: Mapping[str, Any]) -> str:
    own = report["metrics"].get(OWN, {}).get("all", {"n": 0, "hr@10": 0.0})
    error = standard_error(own["hr@10"], own["n"])
    return f"Standard error of HR@10 over all events: {error:.4f}. Models are ordered by HR@10."


def _slice(metrics: Mapping[str, Any], name: str, *, is_open: bool) -> str:
    """Return one slice's table, folded away unless open."""
    models = ranked(metrics, name)
    top = max((metrics[model][name]["hr@10"] for model in models), default=0.0) or 1.0
    rows = "".join(_row(model, metrics[model][name], top) for model in models)
    head = "".join(f"<th>{escape(column.upper())}</th>" for column in _COLUMNS)
    return (
        f"<details{' open' if is_open else ''}><summary>{escape(_SLICE_NAMES[name])} "
        f'<span class="quiet">{escape(HEADLINES[name])}</span></summary><div class="scroll"><table><thead><tr>'
        f"<th>Model</th>{head}<th>n</th></tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _row(model: str, means: Mapping[str, float], top: float) -> str:
    share = f"{means['hr@10'] / top:.3f}"
    cells = [f'<td class="meter" style="--w:{share}">{means["hr@10"]:.4f}</td>']
    cells += [f"<td>{means[column]:.4f}</td>" for column in _COLUMNS[1:]]
    own = ' class="own"' if model == OWN else ""
    return f"<tr{own}><td>{escape(label(model))}</td>{''.join(cells)}<td>{means['n']:,.0f}</td></tr>"


def _sum(report: Mapping[str, Any]) -> str:
    parts = [("events", ""), ("accepted", "="), ("duplicates", "+"), ("late", "+"), ("dead_letters", "+")]
    return "".join(
        (f"<i>{sign}</i>" if sign else "")
        + f"<div><b>{report[key]:,}</b><span>{escape(key.replace('_', ' '))}</span></div>"
        for key, sign in parts
    )


def _reasons(reasons: Mapping[str, int]) -> str:
    if not reasons:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(reason)}</code></td><td>{count:,}</td><td>{escape(REASONS.get(reason, ''))}</td></tr>"
        for reason, count in sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    )
    return (
        '<div class="scroll"><table class="reasons"><thead><tr><th>Reason</th><th>Records</th><th></th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _traces(report: Mapping[str, Any]) -> list[tuple[str, Any]]:
    keys = {"lists_sha256": "lists", "head_sha256": "learned tables", "input_sha256": "canonical log"}
    return [(f"{name}, SHA-256", report[key]) for key, name in keys.items() if report.get(key)]


def _pairs(pairs: Iterable[tuple[str, Any]], *, code: bool = False) -> str:
    rows = []
    for key, value in pairs:
        text = escape(_shown(value))
        rows.append(f"<tr><td>{escape(key)}</td><td>{f'<code>{text}</code>' if code else text}</td></tr>")
    return "".join(rows)


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Yield dotted key and value, without what is not set."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value not in (None, "", [], ()):
            yield prefix + key, value


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _day(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, tz=timezone.utc).strftime("%Y-%m-%d")


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
