"""The meters as Prometheus reads them."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from view.pulse import cumulative
from view.view import View

AGES_S = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
REQUESTS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)


class Exposition:
    """What is scraped: of the run, taken from the view at each scrape, and of the requests to us."""

    def __init__(self, view: View, now_ms: Callable[[], int]) -> None:
        """Register; `now_ms` is the clock."""
        self._view = view
        self._now_ms = now_ms
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._requests = Histogram(
            "headwater_http_request_seconds", "Time to answer a request", ("route", "status"), buckets=REQUESTS_S,
            registry=self._registry,
        )  # fmt: skip

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        self._requests.labels(route, str(status)).observe(seconds)

    def text(self) -> bytes:
        """Return the exposition."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        """Yield the metrics of the run."""
        view, totals = self._view, self._view.totals
        for name, text, value in (
            ("headwater_events_accepted", "Events that were learned", totals.accepted),
            ("headwater_events_duplicate", "Repeats of event ids that were dropped", totals.duplicates),
            ("headwater_lists", "Lists made", totals.lists),
            ("headwater_lists_withdrawn", "Users whose lists were withdrawn", totals.withdrawn),
        ):
            yield CounterMetricFamily(name, text, value=value)
        dead = CounterMetricFamily("headwater_dead_letters", "Records refused, by reason", labels=["reason"])
        for reason, count in sorted(totals.dead_letters.items()):
            dead.add_metric([reason], count)
        yield dead
        shown = view.shown(self._now_ms())
        for measure in ("hr@10", "ndcg@10"):
            name = f"headwater_prequential_{measure.replace('@', '_at_')}"
            family = GaugeMetricFamily(name, f"{measure} of the newest window of events, by model", labels=["model"])
            for model, figures in shown["quality"]["models"].items():
                if figures[measure] and figures[measure][-1] is not None:
                    family.add_metric([model], figures[measure][-1])
            yield family
        now = shown["pulse"]["now"]
        for name, text, gauge in (
            ("headwater_head_event_time_seconds", "Event time of the newest learning step", totals.head / 1000),
            ("headwater_catalogue_items", "Items that the job knows", totals.catalogue),
            ("headwater_catalogue_coverage_ratio", "Share of them that stands in newest lists", shown["coverage"]),
            ("headwater_view_lag_records", "Records of the outputs that the view has not read", now["view_lag"]),
            ("headwater_job_lag_records", "Events that the job has not committed", now["job_lag"]),
        ):
            if gauge is not None:
                yield GaugeMetricFamily(name, text, value=gauge)
        counts = view.pulse.fresh
        bounds = [*zip(map(str, AGES_S), cumulative(counts, AGES_S), strict=True), ("+Inf", int(counts.sum()))]
        yield HistogramMetricFamily(
            "headwater_event_to_list_seconds",
            "Time from an event to when its user's list can be read, since the view started",
            buckets=[(bound, float(count)) for bound, count in bounds],
            sum_value=view.pulse.fresh_sum_ms / 1000,
        )
